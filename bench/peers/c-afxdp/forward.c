/*
 * The yardstick for AF_XDP: `forward A B` moves frames between two devices, native copy mode in one UMEM, without looking
 * at them, polling without rest until it is killed. Prints "ready" when it is.
 */
#define _GNU_SOURCE
#include "../../native/bpf.h"

#include <linux/if_xdp.h>
#include <sys/mman.h>
#include <sys/socket.h>

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
  attach(load(BPF_PROG_TYPE_XDP, code, LENGTH(code)), ifindex, BPF_XDP, NATIVE);
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
  if (argc != 3) {
    fprintf(stderr, "usage: forward A B\n");
    return 2;
  }
  forward(argv[1], argv[2]);
}
