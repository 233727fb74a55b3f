/*
 * The ends of the frame benchmarks:
 *
 *   frames generate DEVICE SECONDS FLOWS   sends 60-byte UDP frames (64 with their checksum) from FLOWS source ports as
 *                                          fast as the kernel takes them, whether or not the device does
 *   frames sink DEVICE                     drops all that DEVICE receives, by a tcx program (Linux 6.6), until it is killed
 *   frames checksums DEVICE                makes the stack finish checksums before DEVICE sends
 *
 * The first two print "ready" when they are.
 */
#define _GNU_SOURCE
#include "bpf.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#define SIZE 60

static void generate(const char *device, double seconds, uint32_t flows) {
  const unsigned ifindex = index_of(device);
  const struct bpf_insn code[] = {
      /* r6 = data; unless data + 42 <= data_end: return XDP_ABORTED */
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 6, .src_reg = 1, .off = 0},
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 7, .src_reg = 1, .off = 4},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 6},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = 42},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_ABORTED},
      {.code = BPF_JMP | BPF_JGT | BPF_X, .dst_reg = 2, .src_reg = 7, .off = 7},
      /* source port = 1024 + random % flows */
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_prandom_u32},
      {.code = BPF_ALU | BPF_MOD | BPF_K, .dst_reg = 0, .imm = (int32_t)flows},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 0, .imm = 1024},
      {.code = BPF_STX | BPF_MEM | BPF_H, .dst_reg = 6, .src_reg = 0, .off = 34},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = (int32_t)ifindex},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 0},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect},
      {.code = BPF_JMP | BPF_EXIT},
  };
  uint8_t frame[SIZE] = {2, 0, 0, 0, 0x0b, 1, 2, 0, 0, 0, 0x0a, 1, 8, 0, 0x45, 0, 0, SIZE - 14, 0, 0, 0, 0, 64, 17,
                         0, 0, 10, 200, 0, 1, 10, 200, 0, 2, 4, 0, 0x13, 0x88, 0, SIZE - 34};
  uint32_t sum = 0;
  for (int i = 14; i < 34; i += 2) sum += (uint32_t)(frame[i] << 8 | frame[i + 1]);
  sum = ~((sum & 0xffff) + (sum >> 16));
  frame[24] = (uint8_t)(sum >> 8);
  frame[25] = (uint8_t)sum;
  const int program = load(BPF_PROG_TYPE_XDP, code, LENGTH(code));
  /* Attached anywhere, the program stays in the kernel's dispatcher; else each call below waits for a grace period. */
  attach(program, index_of("lo"), BPF_XDP, GENERIC);
  printf("ready\n");
  fflush(stdout);
  const double start = now();
  while (now() - start < seconds) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.test.prog_fd = (uint32_t)program;
    attributes.test.data_in = address(frame);
    attributes.test.data_size_in = SIZE;
    attributes.test.repeat = 16384;
    attributes.test.flags = 1 << 1; /* BPF_F_TEST_XDP_LIVE_FRAMES */
    attributes.test.batch_size = 64;
    if (bpf(BPF_PROG_TEST_RUN, &attributes) < 0 && errno != EINTR && errno != EAGAIN) check(-1, "BPF_PROG_TEST_RUN");
  }
}

/* TCX_DROP. */
#define DROP 2

/*
 * Before the stack does anything with a packet, but after it is one: a generic XDP program costs more, since it wants room
 * in front of packets, which the kernel has to make.
 */
static void sink(const char *device) {
  const struct bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = DROP},
      {.code = BPF_JMP | BPF_EXIT},
  };
  attach(load(BPF_PROG_TYPE_SCHED_CLS, code, LENGTH(code)), index_of(device), TCX_INGRESS, 0);
  printf("ready\n");
  fflush(stdout);
  pause();
}

static void checksums(const char *device) {
  struct ethtool_value off = {.cmd = ETHTOOL_STXCSUM};
  struct ifreq request;
  memset(&request, 0, sizeof request);
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
  request.ifr_data = (char *)&off;
  const int fd = check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  check(ioctl(fd, SIOCETHTOOL, &request), "ETHTOOL_STXCSUM");
}

int main(int argc, char **argv) {
  if (argc == 5 && strcmp(argv[1], "generate") == 0) {
    generate(argv[2], atof(argv[3]), (uint32_t)strtoul(argv[4], NULL, 10));
  } else if (argc == 3 && strcmp(argv[1], "sink") == 0) {
    sink(argv[2]);
  } else if (argc == 3 && strcmp(argv[1], "checksums") == 0) {
    checksums(argv[2]);
  } else {
    fprintf(stderr, "usage: frames generate DEVICE SECONDS FLOWS | sink DEVICE | checksums DEVICE\n");
    return 2;
  }
  return 0;
}
