/*
 * A small io_uring of one thread, for writes that are done when their submission returns: many for the price of one
 * system call. Plain system calls on the rings of linux/io_uring.h; nothing here allocates, and nothing waits for anybody
 * but the kernel.
 *
 * The kernel reads what was queued until uring_run returns true: the memory must stay, and may go then.
 */
#ifndef ETHERLOOM_TAP_URING_H
#define ETHERLOOM_TAP_URING_H

#include <errno.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the headers may be older than: Linux 5.18, 6.0, 6.1 and 6.10. */
#ifndef IORING_SETUP_SUBMIT_ALL
#define IORING_SETUP_SUBMIT_ALL (1U << 7)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif
#ifndef IORING_FEAT_RECVSEND_BUNDLE
#define IORING_FEAT_RECVSEND_BUNDLE (1U << 14)
#endif
/* linux/fs.h has it, and clashes with sys/mount.h in older C libraries. */
#define URING_NOWAIT 0x00000008

/* Writes of one submission. */
#define URING_ENTRIES 32
/* Files that a ring can write to. */
#define URING_FILES 1024

struct uring {
  /* -1 while there is none; then nothing else here means anything. */
  int fd;
  /* Both queues, in one mapping. */
  uint8_t *queues;
  size_t queues_size;
  struct io_uring_sqe *entries;
  size_t entries_size;
  uint32_t *submit_head, *submit_tail, *done_head, *done_tail;
  uint32_t submit_mask, done_mask;
  const struct io_uring_cqe *done;
  /* What submit_tail is to be at the next submission. */
  uint32_t tail;
};

static long uring_register(const struct uring *ring, unsigned what, const void *data, unsigned count) {
  return syscall(SYS_io_uring_register, ring->fd, what, data, count);
}

/*
 * Gives file `slot` of the ring to `fd`, or with -1 to nobody. 0, or an errno. The ring holds the file open until then, which spares
 * each write a look-up with two atomic operations: 6 % of what a frame from TAP to TAP costs.
 */
static int uring_set_file(struct uring *ring, uint32_t slot, int32_t fd) {
  struct io_uring_rsrc_update update;
  memset(&update, 0, sizeof update);
  update.offset = slot;
  update.data = (uint64_t)(uintptr_t)&fd;
  return uring_register(ring, IORING_REGISTER_FILES_UPDATE, &update, 1) < 0 ? errno : 0;
}

/* Idempotent. The files are let go before it returns; the ring itself goes some time later. */
static void uring_close(struct uring *ring) {
  if (ring->fd < 0) {
    return;
  }
  (void)uring_register(ring, IORING_UNREGISTER_FILES, NULL, 0);
  munmap(ring->entries, ring->entries_size);
  munmap(ring->queues, ring->queues_size);
  close(ring->fd);
  ring->fd = -1;
}

/*
 * Opens a ring for the calling thread, which alone may use it. 0, or an errno: ENOSYS and EPERM where the kernel, its
 * setting kernel.io_uring_disabled or a seccomp filter has no io_uring for us, EINVAL or EOPNOTSUPP before Linux 6.10.
 *
 * The flags are worth 1 % of a burst of 8, nothing at 32. There is no way down from them, nor from 6.10, which shows by a
 * feature of it that we have no use for: so new a kernel has queues in one mapping, TAPs that know RWF_NOWAIT, goes on
 * after a write that it refuses, and closes a file that leaves a ring at once. Before 6.4 that could take a second, for
 * which a TAP device would outlive its port.
 */
static int uring_open(struct uring *ring) {
  struct io_uring_params params;
  memset(&params, 0, sizeof params);
  params.flags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  const int fd = (int)syscall(SYS_io_uring_setup, URING_ENTRIES, &params);
  if (fd < 0) {
    return errno;
  }
  if ((params.features & IORING_FEAT_RECVSEND_BUNDLE) == 0) {
    close(fd);
    return EOPNOTSUPP;
  }
  const size_t submit_size = params.sq_off.array + params.sq_entries * sizeof(uint32_t);
  const size_t done_size = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
  const size_t queues_size = submit_size > done_size ? submit_size : done_size;
  const size_t entries_size = params.sq_entries * sizeof(struct io_uring_sqe);
  const int access = PROT_READ | PROT_WRITE, kind = MAP_SHARED | MAP_POPULATE;
  uint8_t *queues = mmap(NULL, queues_size, access, kind, fd, IORING_OFF_SQ_RING);
  if (queues == MAP_FAILED) {
    const int error = errno;
    close(fd);
    return error;
  }
  struct io_uring_sqe *entries = mmap(NULL, entries_size, access, kind, fd, IORING_OFF_SQES);
  if (entries == MAP_FAILED) {
    const int error = errno;
    munmap(queues, queues_size);
    close(fd);
    return error;
  }
  *ring = (struct uring){
      .fd = fd,
      .queues = queues,
      .queues_size = queues_size,
      .entries = entries,
      .entries_size = entries_size,
      .submit_head = (uint32_t *)(queues + params.sq_off.head),
      .submit_tail = (uint32_t *)(queues + params.sq_off.tail),
      .done_head = (uint32_t *)(queues + params.cq_off.head),
      .done_tail = (uint32_t *)(queues + params.cq_off.tail),
      .submit_mask = *(uint32_t *)(queues + params.sq_off.ring_mask),
      .done_mask = *(uint32_t *)(queues + params.cq_off.ring_mask),
      .done = (const struct io_uring_cqe *)(queues + params.cq_off.cqes),
      .tail = *(uint32_t *)(queues + params.sq_off.tail),
  };
  /* Entry i is always the one that slot i names. */
  uint32_t *slots = (uint32_t *)(queues + params.sq_off.array);
  for (uint32_t i = 0; i < params.sq_entries; i++) {
    slots[i] = i;
  }
  /* Descriptors of -1, all of them: slots without a file. */
  int32_t files[URING_FILES];
  memset(files, 0xff, sizeof files);
  if (uring_register(ring, IORING_REGISTER_FILES, files, URING_FILES) < 0) {
    const int error = errno;
    uring_close(ring);
    return error;
  }
  return 0;
}

/*
 * Queues a write(2) to file `slot`, at most URING_ENTRIES of them before uring_run; `tag` comes back with the result.
 *
 * RWF_NOWAIT: what would have to wait ends with EAGAIN. O_NONBLOCK of the descriptor does not say that to io_uring, which
 * would wait in the place of its caller. A file that knows no RWF_NOWAIT refuses it with EOPNOTSUPP.
 */
static void uring_queue_write(struct uring *ring, uint32_t slot, const void *data, uint32_t length, uint64_t tag) {
  struct io_uring_sqe *entry = &ring->entries[ring->tail++ & ring->submit_mask];
  memset(entry, 0, sizeof *entry);
  entry->opcode = IORING_OP_WRITE;
  entry->flags = IOSQE_FIXED_FILE;
  entry->fd = (int32_t)slot;
  /* No position of its own: as write(2). */
  entry->off = UINT64_MAX;
  entry->addr = (uint64_t)(uintptr_t)data;
  entry->len = length;
  entry->rw_flags = URING_NOWAIT;
  entry->user_data = tag;
}

static long uring_enter(const struct uring *ring, uint32_t submit, uint32_t wait) {
  return syscall(SYS_io_uring_enter, ring->fd, submit, wait, IORING_ENTER_GETEVENTS, NULL, 0);
}

/*
 * Has the kernel do what was queued, in that order, and returns when it is done: true. What the kernel did not take, for
 * want of memory, are the last of the queue; they are forgotten and have no result. False when the kernel refuses to say
 * what became of the others, which is not to happen: the ring must be closed then.
 */
static bool uring_run(struct uring *ring) {
  const uint32_t before = __atomic_load_n(ring->submit_head, __ATOMIC_ACQUIRE);
  const uint32_t queued = ring->tail - before;
  __atomic_store_n(ring->submit_tail, ring->tail, __ATOMIC_RELEASE);
  /* Whatever it returns: the rings say what it took. */
  (void)uring_enter(ring, queued, queued);
  const uint32_t head = __atomic_load_n(ring->submit_head, __ATOMIC_ACQUIRE);
  if (head != ring->tail) {
    ring->tail = head;
    __atomic_store_n(ring->submit_tail, head, __ATOMIC_RELEASE);
  }
  const uint32_t taken = head - before;
  while (__atomic_load_n(ring->done_tail, __ATOMIC_ACQUIRE) - *ring->done_head < taken) {
    if (uring_enter(ring, 0, taken) < 0 && errno != EINTR) {
      return false;
    }
  }
  return true;
}

/* Takes one result, in any order: bytes written, or -errno. False when there is none left. */
static bool uring_result(struct uring *ring, uint64_t *tag, int32_t *result) {
  const uint32_t head = *ring->done_head;
  if (head == __atomic_load_n(ring->done_tail, __ATOMIC_ACQUIRE)) {
    return false;
  }
  const struct io_uring_cqe *done = &ring->done[head & ring->done_mask];
  *tag = done->user_data;
  *result = done->res;
  __atomic_store_n(ring->done_head, head + 1, __ATOMIC_RELEASE);
  return true;
}

#endif
