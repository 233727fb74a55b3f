/*
 * SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
 *
 * The XDP program of a device, for control.c: it gives a packet the VLAN tag back that its sender left beside it, and
 * hands it to the socket of its queue.
 *
 * The tag takes a kernel function (bpf_xdp_metadata_rx_vlan_tag, Linux 6.8), which only programs may call whose license
 * the kernel takes for compatible with the GPL, which are loaded for one device, and which run in its driver. The others
 * get the program without that part.
 */
#ifndef ETHERLOOM_AFXDP_PROGRAM_H
#define ETHERLOOM_AFXDP_PROGRAM_H

#include "common.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <stdlib.h>
#include <sys/syscall.h>

/* Of kernels newer than the oldest headers that we build with. */
#ifndef BPF_F_XDP_HAS_FRAGS
#define BPF_F_XDP_HAS_FRAGS (1U << 5)
#endif
#define ETHERLOOM_XDP_DEV_BOUND_ONLY (1U << 6)
#define ETHERLOOM_KFUNC_CALL 2
#define ETHERLOOM_LICENSE "Dual MIT/GPL"

static int bpf(enum bpf_cmd command, union bpf_attr *attributes) {
  return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

static uint64_t address(const void *pointer) {
  return (uint64_t)(uintptr_t)pointer;
}

/* ---- The number of a kernel function ---- */

/* Bytes behind struct btf_type; -1 for a kind that this file does not know. */
static long btf_extra(uint32_t info) {
  const long count = BTF_INFO_VLEN(info);
  switch (BTF_INFO_KIND(info)) {
  case 2:  /* pointer */
  case 7:  /* forward */
  case 8:  /* typedef */
  case 9:  /* volatile */
  case 10: /* const */
  case 11: /* restrict */
  case 12: /* function */
  case 16: /* float */
  case 18: /* type tag */
    return 0;
  case 1:  /* integer */
  case 14: /* variable */
  case 17: /* declaration tag */
    return 4;
  case 3: /* array */
    return 12;
  case 6:  /* enumeration */
  case 13: /* prototype */
    return 8 * count;
  case 4:  /* structure */
  case 5:  /* union */
  case 15: /* section */
  case 19: /* enumeration of 64 bits */
    return 12 * count;
  default:
    return -1;
  }
}

/* Looks the function up in the type information of `size` bytes at `data`; 0 when it is not there or the rest makes no sense. */
static uint32_t find_function(const uint8_t *data, size_t size, const char *name) {
  struct btf_header header;
  const size_t length = strlen(name) + 1;
  if (size < sizeof header) {
    return 0;
  }
  memcpy(&header, data, sizeof header);
  const uint64_t types = (uint64_t)header.hdr_len + header.type_off, types_end = types + header.type_len;
  const uint64_t names = (uint64_t)header.hdr_len + header.str_off, names_end = names + header.str_len;
  if (header.magic != BTF_MAGIC || types_end > size || names_end > size) {
    return 0;
  }
  uint32_t id = 1;
  for (uint64_t at = types; at + sizeof(struct btf_type) <= types_end; id++) {
    struct btf_type type;
    memcpy(&type, data + at, sizeof type);
    const long extra = btf_extra(type.info);
    if (extra < 0) {
      return 0;
    }
    if (BTF_INFO_KIND(type.info) == 12 && names + type.name_off + length <= names_end &&
        memcmp(data + names + type.name_off, name, length) == 0) {
      return id;
    }
    at += sizeof type + (uint64_t)extra;
  }
  return 0;
}

/* All of a file, which the caller frees; NULL when it cannot be read. */
static uint8_t *read_whole(const char *path, size_t *size) {
  struct stat status;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  uint8_t *data = NULL;
  if (fd < 0) {
    return NULL;
  }
  if (fstat(fd, &status) == 0 && status.st_size > 0 && (data = malloc((size_t)status.st_size)) != NULL) {
    size_t got = 0;
    while (got < (size_t)status.st_size) {
      ssize_t n = read(fd, data + got, (size_t)status.st_size - got);
      if (n <= 0) {
        break;
      }
      got += (size_t)n;
    }
    if (got == (size_t)status.st_size) {
      *size = got;
    } else {
      free(data);
      data = NULL;
    }
  }
  close(fd);
  return data;
}

static pthread_once_t tag_function_once = PTHREAD_ONCE_INIT;
static uint32_t tag_function_id;

/* The kernel's type information has 5 MB: 5 ms, once in a process. */
static void find_tag_function(void) {
  size_t size = 0;
  uint8_t *data = read_whole("/sys/kernel/btf/vmlinux", &size);
  if (data != NULL) {
    tag_function_id = find_function(data, size, "bpf_xdp_metadata_rx_vlan_tag");
    free(data);
  }
}

/* ---- The program ---- */

#define LOAD(SIZE, TO, FROM, OFFSET) \
  { .code = BPF_LDX | BPF_MEM | (SIZE), .dst_reg = (TO), .src_reg = (FROM), .off = (OFFSET) }
#define STORE(SIZE, TO, OFFSET, FROM) \
  { .code = BPF_STX | BPF_MEM | (SIZE), .dst_reg = (TO), .src_reg = (FROM), .off = (OFFSET) }
#define MOVE(TO, FROM) \
  { .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (TO), .src_reg = (FROM) }
#define SET(TO, VALUE) \
  { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (TO), .imm = (VALUE) }
#define ADD(TO, VALUE) \
  { .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = (TO), .imm = (VALUE) }
#define CALL(FUNCTION) \
  { .code = BPF_JMP | BPF_CALL, .imm = (FUNCTION) }

/*
 * The tag goes where 802.1Q has it: the addresses move 4 bytes to the front. A packet that has no room there, which no
 * driver lets happen, ends as XDP_ABORTED, which the device counts.
 *
 *   if (bpf_xdp_metadata_rx_vlan_tag(context, &type, &tag) == 0 && type != 0) {
 *     if (bpf_xdp_adjust_head(context, -4) != 0) return XDP_ABORTED;
 *     move the addresses; store type, and tag in network order
 *   }
 */
#define TAG_INSTRUCTIONS 29
#define TYPE_AT (-8)
#define TAG_AT (-16)

/*
 * Loads the program; `function` is that of the tag, 0 for none, and then `ifindex` does not matter. Sends packets of queue
 * q to the socket in slot q of the map, those of queues without a socket on to the kernel:
 *
 *   return bpf_redirect_map(&map, context->rx_queue_index, XDP_PASS)
 */
static int load_program(int map, uint32_t flags, uint32_t function, int ifindex) {
  const struct bpf_insn code[] = {
      MOVE(6, 1),
      /* 1 to 29: the tag. */
      {.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = TYPE_AT},
      {.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = TAG_AT},
      MOVE(2, 10),
      ADD(2, TYPE_AT),
      MOVE(3, 10),
      ADD(3, TAG_AT),
      {.code = BPF_JMP | BPF_CALL, .src_reg = ETHERLOOM_KFUNC_CALL, .imm = (int32_t)function},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 0, .off = 21},
      LOAD(BPF_H, 7, 10, TYPE_AT),
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 7, .off = 19},
      MOVE(1, 6),
      SET(2, -4),
      CALL(BPF_FUNC_xdp_adjust_head),
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 0, .off = 21},
      LOAD(BPF_W, 1, 6, offsetof(struct xdp_md, data)),
      LOAD(BPF_W, 2, 6, offsetof(struct xdp_md, data_end)),
      MOVE(3, 1),
      ADD(3, 16),
      {.code = BPF_JMP | BPF_JGT | BPF_X, .dst_reg = 3, .src_reg = 2, .off = 16},
      LOAD(BPF_W, 2, 1, 4),
      STORE(BPF_W, 1, 0, 2),
      LOAD(BPF_W, 2, 1, 8),
      STORE(BPF_W, 1, 4, 2),
      LOAD(BPF_W, 2, 1, 12),
      STORE(BPF_W, 1, 8, 2),
      STORE(BPF_H, 1, 12, 7),
      LOAD(BPF_H, 2, 10, TAG_AT),
      {.code = BPF_ALU | BPF_END | BPF_TO_BE, .dst_reg = 2, .imm = 16},
      STORE(BPF_H, 1, 14, 2),
      /* 30 */
      LOAD(BPF_W, 2, 6, offsetof(struct xdp_md, rx_queue_index)),
      {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map},
      {0},
      SET(3, XDP_PASS),
      CALL(BPF_FUNC_redirect_map),
      {.code = BPF_JMP | BPF_EXIT},
      /* 36 */
      SET(0, XDP_ABORTED),
      {.code = BPF_JMP | BPF_EXIT},
  };
  struct bpf_insn plain[sizeof code / sizeof code[0]];
  /* Without the tag: the first instruction, and from the 30th on; none jumps, so XDP_ABORTED would be dead code. */
  const size_t rest = 6;
  plain[0] = code[0];
  memcpy(plain + 1, code + 1 + TAG_INSTRUCTIONS, rest * sizeof code[0]);
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = BPF_PROG_TYPE_XDP;
  attributes.insns = address(function != 0 ? code : plain);
  attributes.insn_cnt = function != 0 ? sizeof code / sizeof code[0] : 1 + rest;
  attributes.license = address(ETHERLOOM_LICENSE);
  attributes.prog_flags = flags;
  if (function != 0) {
    attributes.prog_flags |= ETHERLOOM_XDP_DEV_BOUND_ONLY;
    attributes.prog_ifindex = (uint32_t)ifindex;
  }
  memcpy(attributes.prog_name, "etherloom", sizeof "etherloom");
  return bpf(BPF_PROG_LOAD, &attributes);
}

struct xdp_program {
  int fd;
  bool tags;
};

/*
 * The best program that the kernel takes, for device `ifindex` of the calling thread's namespace; `in_driver` when the
 * driver is to run it. `fd` is -1, with errno, when it takes none.
 */
static struct xdp_program best_program(int map, int ifindex, bool in_driver) {
  if (in_driver) {
    pthread_once(&tag_function_once, find_tag_function);
    if (tag_function_id != 0) {
      int fd = load_program(map, BPF_F_XDP_HAS_FRAGS, tag_function_id, ifindex);
      if (fd >= 0) {
        return (struct xdp_program){fd, true};
      }
    }
  }
  /* Only a program that says so gets packets of several buffers (jumbo frames); Linux before 5.18 does not know them. */
  int fd = load_program(map, BPF_F_XDP_HAS_FRAGS, 0, ifindex);
  if (fd < 0 && errno == EINVAL) {
    fd = load_program(map, 0, 0, ifindex);
  }
  return (struct xdp_program){fd, false};
}

#endif
