/* Loading and attaching a BPF program by raw bpf(2), for the benchmark's programs: whatever fails ends them. */
#ifndef ETHERLOOM_BENCH_BPF_H
#define ETHERLOOM_BENCH_BPF_H

#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* How an XDP program is attached (XDP_FLAGS_* of linux/if_link.h): by the kernel's stack, or by the device's driver. */
enum { GENERIC = 1 << 1, NATIVE = 1 << 2 };
/* BPF_TCX_INGRESS, newer than some headers: a classifier on what a device receives. Linux 6.6. */
enum { TCX_INGRESS = 46 };

static inline int check(long result, const char *what) {
  if (result < 0) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
  }
  return (int)result;
}

static inline int bpf(int command, union bpf_attr *attributes) {
  return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

static inline uint64_t address(const void *pointer) { return (uint64_t)(uintptr_t)pointer; }

static inline unsigned index_of(const char *device) {
  unsigned index = if_nametoindex(device);
  return (unsigned)check(index == 0 ? -1 : (long)index, device);
}

static inline int load(enum bpf_prog_type type, const struct bpf_insn *code, size_t count) {
  static char log[65536];
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = type;
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

/* Attached until the process ends. */
static inline void attach(int program, unsigned ifindex, uint32_t type, uint32_t flags) {
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.link_create.prog_fd = (uint32_t)program;
  attributes.link_create.target_ifindex = ifindex;
  attributes.link_create.attach_type = type;
  attributes.link_create.flags = flags;
  check(bpf(BPF_LINK_CREATE, &attributes), "BPF_LINK_CREATE");
}

#endif
