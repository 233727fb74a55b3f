/*
 * The C side of the forwarding benchmark, by raw system calls as the driver has it:
 *
 *   netbench generate DEVICE SECONDS FLOWS   sends 60-byte UDP frames (64 with their checksum) from FLOWS source ports as
 *                                            fast as the kernel takes them; prints how many were offered
 *   netbench sink DEVICE                     drops all that DEVICE receives, by a generic XDP program, until it is killed
 *   netbench forward A B                     the yardstick: a bare AF_XDP forwarder between two devices, native copy mode
 *                                            in one UMEM, busy polling, until it is killed
 *
 * The first two print "ready" when they are.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static int check(long result, const char *what) {
  if (result < 0) {
    fprintf(stderr, "netbench: %s: %s\n", what, strerror(errno));
    exit(1);
  }
  return (int)result;
}

static int bpf(int command, union bpf_attr *attributes) {
  return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

static uint64_t address(const void *pointer) { return (uint64_t)(uintptr_t)pointer; }

static int load(const struct bpf_insn *code, size_t count) {
  static char log[65536];
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = BPF_PROG_TYPE_XDP;
  attributes.insns = address(code);
  attributes.insn_cnt = (uint32_t)count;
  attributes.license = address("Apache-2.0");
  attributes.log_buf = address(log);
  attributes.log_size = sizeof log;
  attributes.log_level = 1;
  int fd = bpf(BPF_PROG_LOAD, &attributes);
  if (fd < 0) fprintf(stderr, "%s\n", log);
  return check(fd, "BPF_PROG_LOAD");
}

static void attach(int program, unsigned ifindex, uint32_t flags) {
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.link_create.prog_fd = (uint32_t)program;
  attributes.link_create.target_ifindex = ifindex;
  attributes.link_create.attach_type = BPF_XDP;
  attributes.link_create.flags = flags;
  check(bpf(BPF_LINK_CREATE, &attributes), "BPF_LINK_CREATE");
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static unsigned index_of(const char *device) {
  unsigned index = if_nametoindex(device);
  return (unsigned)check(index == 0 ? -1 : (long)index, device);
}

/* ---- generate ---- */

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
  const int program = load(code, LENGTH(code));
  /* Attached anywhere, the program stays in the kernel's dispatcher; else each call below waits for a grace period. */
  attach(program, index_of("lo"), 1 << 1);
  printf("ready\n");
  fflush(stdout);
  unsigned long offered = 0;
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
    offered += 16384;
  }
  printf("%lu\n", offered);
}

/* ---- sink ---- */

static void sink(const char *device) {
  const struct bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_DROP},
      {.code = BPF_JMP | BPF_EXIT},
  };
  attach(load(code, LENGTH(code)), index_of(device), 1 << 1);
  printf("ready\n");
  fflush(stdout);
  pause();
}

/* ---- forward ---- */

#define CHUNK 2048
#define FRAMES 8192
#define RING 2048
#define BATCH 64

struct ring {
  uint32_t *producer, *consumer;
  void *entries;
};
struct port {
  int fd;
  struct ring rx, tx, fill, done;
  uint32_t outstanding;
};

static uint64_t spare[FRAMES];
static uint32_t spares;

static struct ring map(int fd, const struct xdp_ring_offset *at, size_t entry, off_t page) {
  uint8_t *memory = mmap(NULL, at->desc + RING * entry, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, page);
  if (memory == MAP_FAILED) check(-1, "mmap");
  return (struct ring){(uint32_t *)(memory + at->producer), (uint32_t *)(memory + at->consumer), memory + at->desc};
}

static uint32_t acquire(const uint32_t *index) { return __atomic_load_n(index, __ATOMIC_ACQUIRE); }
static void publish(uint32_t *index, uint32_t value) { __atomic_store_n(index, value, __ATOMIC_RELEASE); }

static void open_port(struct port *port, const char *device, void *memory, int shared) {
  const uint32_t size = RING;
  const unsigned ifindex = index_of(device);
  port->fd = check(socket(AF_XDP, SOCK_RAW, 0), "socket");
  if (shared < 0) {
    struct xdp_umem_reg umem = {.addr = address(memory), .len = (uint64_t)FRAMES * CHUNK, .chunk_size = CHUNK};
    check(setsockopt(port->fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof umem), "XDP_UMEM_REG");
  }
  const int options[] = {XDP_RX_RING, XDP_TX_RING, XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING};
  for (size_t i = 0; i < 4; i++) check(setsockopt(port->fd, SOL_XDP, options[i], &size, sizeof size), "ring");
  struct xdp_mmap_offsets offsets;
  socklen_t length = sizeof offsets;
  check(getsockopt(port->fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length), "XDP_MMAP_OFFSETS");
  port->rx = map(port->fd, &offsets.rx, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING);
  port->tx = map(port->fd, &offsets.tx, sizeof(struct xdp_desc), XDP_PGOFF_TX_RING);
  port->fill = map(port->fd, &offsets.fr, 8, (off_t)XDP_UMEM_PGOFF_FILL_RING);
  port->done = map(port->fd, &offsets.cr, 8, (off_t)XDP_UMEM_PGOFF_COMPLETION_RING);
  struct sockaddr_xdp where = {.sxdp_family = AF_XDP, .sxdp_ifindex = ifindex};
  where.sxdp_flags = shared < 0 ? XDP_COPY | XDP_USE_NEED_WAKEUP : XDP_SHARED_UMEM;
  where.sxdp_shared_umem_fd = shared < 0 ? 0 : (uint32_t)shared;
  check(bind(port->fd, (struct sockaddr *)&where, sizeof where), "bind");

  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.map_type = BPF_MAP_TYPE_XSKMAP;
  attributes.key_size = attributes.value_size = 4;
  attributes.max_entries = 1;
  const int sockets = check(bpf(BPF_MAP_CREATE, &attributes), "BPF_MAP_CREATE");
  const uint32_t queue = 0;
  memset(&attributes, 0, sizeof attributes);
  attributes.map_fd = (uint32_t)sockets;
  attributes.key = address(&queue);
  attributes.value = address(&port->fd);
  check(bpf(BPF_MAP_UPDATE_ELEM, &attributes), "BPF_MAP_UPDATE_ELEM");
  const struct bpf_insn code[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = 16},
      {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = sockets},
      {0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = XDP_PASS},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map},
      {.code = BPF_JMP | BPF_EXIT},
  };
  attach(load(code, LENGTH(code)), ifindex, 1 << 2);
}

static void move(struct port *in, struct port *out) {
  uint32_t from = *out->done.consumer, to = acquire(out->done.producer);
  for (; from != to; from++) {
    spare[spares++] = ((uint64_t *)out->done.entries)[from % RING];
    out->outstanding--;
  }
  publish(out->done.consumer, from);
  uint32_t at = *in->fill.producer, room = RING - (at - acquire(in->fill.consumer));
  if (room > 256) room = 256;
  for (; room > 0 && spares > 0; room--) ((uint64_t *)in->fill.entries)[at++ % RING] = spare[--spares];
  publish(in->fill.producer, at);
  from = *in->rx.consumer;
  to = acquire(in->rx.producer);
  if (to - from > BATCH) to = from + BATCH;
  at = *out->tx.producer;
  room = RING - (at - acquire(out->tx.consumer));
  for (; from != to; from++) {
    const struct xdp_desc *desc = (struct xdp_desc *)in->rx.entries + from % RING;
    if (room == 0) {
      spare[spares++] = desc->addr;
      continue;
    }
    room--;
    ((struct xdp_desc *)out->tx.entries)[at++ % RING] = (struct xdp_desc){.addr = desc->addr, .len = desc->len};
    out->outstanding++;
  }
  publish(out->tx.producer, at);
  publish(in->rx.consumer, from);
  if (out->outstanding > 0) sendto(out->fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
}

static void forward(const char *a, const char *b) {
  void *memory = mmap(NULL, (size_t)FRAMES * CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  struct port ports[2] = {0};
  open_port(&ports[0], a, memory, -1);
  open_port(&ports[1], b, memory, ports[0].fd);
  for (uint64_t i = 0; i < FRAMES; i++) spare[spares++] = i * CHUNK;
  printf("ready\n");
  fflush(stdout);
  for (;;) {
    move(&ports[0], &ports[1]);
    move(&ports[1], &ports[0]);
  }
}

int main(int argc, char **argv) {
  if (argc == 5 && strcmp(argv[1], "generate") == 0) {
    generate(argv[2], atof(argv[3]), (uint32_t)strtoul(argv[4], NULL, 10));
  } else if (argc == 3 && strcmp(argv[1], "sink") == 0) {
    sink(argv[2]);
  } else if (argc == 4 && strcmp(argv[1], "forward") == 0) {
    forward(argv[2], argv[3]);
  } else {
    fprintf(stderr, "usage: netbench generate DEVICE SECONDS FLOWS | sink DEVICE | forward A B\n");
    return 2;
  }
  return 0;
}
