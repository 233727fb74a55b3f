/** `etherloom completion bash|zsh`: the script that makes a shell complete commands, options and datapaths. Made from the command table. */

import { type CliCommand, type CliOption, GLOBAL_OPTIONS } from './command.js';
import { CliError } from './errors.js';

/** `commands` are all, this one included. */
export const completionCommand = (commands: () => readonly CliCommand[]): CliCommand => ({
  name: 'completion',
  usage: 'bash|zsh',
  minArgs: 1,
  maxArgs: 1,
  datapaths: 'none',
  summary: 'print the script that completes commands in a shell',
  options: [],
  examples: ['source <(etherloom completion bash)', 'etherloom completion zsh > ~/.zfunc/_etherloom'],
  local: true,
  async run({ args: [shell], streams }) {
    const listed = commands().filter(({ unlisted }) => !unlisted);
    if (shell === 'bash') return streams.out(bash(listed));
    if (shell === 'zsh') return streams.out(zsh(listed));
    throw new CliError(`there is no completion for "${shell}"; the shells are bash and zsh`);
  },
});

const longOptions = ({ options }: Pick<CliCommand, 'options'>): string[] =>
  options.map(({ name }) => `--${name}`);

/** Options that are followed by a value. */
const valued = (listed: readonly CliCommand[]): string[] =>
  [...GLOBAL_OPTIONS, ...listed.flatMap(({ options }) => options)]
    .filter(({ value }) => value !== undefined)
    .map(({ name }) => `--${name}`);

/** Commands whose arguments may be names of datapaths that there are. */
const ofDatapaths = (listed: readonly CliCommand[]): CliCommand[] =>
  listed.filter(({ datapaths }) => datapaths !== 'none' && datapaths !== 'new');

function bash(listed: readonly CliCommand[]): string {
  const cases = listed
    .filter(({ options }) => options.length > 0)
    .map((command) => `      ${command.name}) options+=" ${longOptions(command).join(' ')}" ;;`);
  const files = listed.filter((command) => command.files);
  return `# bash completion for etherloom: source <(etherloom completion bash)
_etherloom() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} command='' target=() words='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
      --run-dir|--socket) target+=("\${COMP_WORDS[i]}" "\${COMP_WORDS[i+1]}"); ((i++)) ;;
      ${valued(listed).join('|')}) ((i++)) ;;
      -*) ;;
      *) [[ -n $command ]] || command=\${COMP_WORDS[i]} ;;
    esac
  done
  COMPREPLY=()
  case $previous in
    --run-dir|--socket) COMPREPLY=($(compgen -f -- "$current")); return ;;
    ${valued(listed).join('|')}) return ;;
  esac
  if [[ $current == -* ]]; then
    local options='${longOptions({ options: GLOBAL_OPTIONS }).join(' ')}'
    case $command in
${cases.join('\n')}
    esac
    COMPREPLY=($(compgen -W "$options" -- "$current"))
    return
  fi
  case $command in
    '') words='${listed.map(({ name }) => name).join(' ')} help' ;;
    help) words='${listed.map(({ name }) => name).join(' ')}' ;;
    completion) words='bash zsh' ;;
    ${ofDatapaths(listed)
      .map(({ name }) => name)
      .join('|')}) words=$(etherloom "\${target[@]}" dump-dps 2> /dev/null | sed 's/.*@//') ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  case $command in
    ${files.map(({ name }) => name).join('|')}) COMPREPLY+=($(compgen -f -- "$current")) ;;
  esac
}
complete -F _etherloom etherloom
`;
}

/** Between single quotes of a zsh word; colons and brackets mean something to _describe and _arguments. */
const zshText = (text: string): string => text.replaceAll("'", "'\\''").replaceAll(/[:[\]]/g, '\\$&');

function zsh(listed: readonly CliCommand[]): string {
  const describe = listed.map(({ name, summary }) => `    '${name}:${zshText(summary)}'`);
  const option = ({ name, value, help }: CliOption): string =>
    `'--${name}[${zshText(help)}]${value === undefined ? '' : `:${value.toLowerCase()}:${value === 'SECONDS' ? '' : '_files'}`}'`;
  const cases = listed.map((command) => {
    const rest = [
      ...(ofDatapaths(listed).includes(command) ? ["'*:datapath:_etherloom_datapaths'"] : []),
      ...(command.name === 'completion' ? ["'1:shell:(bash zsh)'"] : []),
      ...(command.files ? ["'*:file:_files'"] : []),
    ].slice(0, 1);
    return `    ${command.name}) _arguments ${[...command.options.map(option), '$globals', ...rest].join(' ')} ;;`;
  });
  return `#compdef etherloom
# zsh completion for etherloom: etherloom completion zsh > ~/.zfunc/_etherloom, in $fpath
_etherloom_datapaths() {
  local -a names
  names=(\${(f)"$(etherloom dump-dps 2> /dev/null)"})
  compadd -- \${names#*@}
}
_etherloom() {
  local context state line
  typeset -A opt_args
  local -a globals commands
  globals=(${GLOBAL_OPTIONS.map(option).join(' ')})
  commands=(
${describe.join('\n')}
    'help:help on a command'
  )
  _arguments -C $globals '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe -t commands 'etherloom command' commands ;;
    argument)
      case $words[1] in
${cases.map((line) => `  ${line}`).join('\n')}
      esac ;;
  esac
}
_etherloom "$@"
`;
}
