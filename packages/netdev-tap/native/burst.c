/*
 * The data half of Linux TAP for Node: bursts of frames between a descriptor and the packet arena.
 *
 * Node-API only: any thread may load the module, and queues are their descriptors; of state there is an io_uring per
 * thread. Nothing throws, blocks or allocates; functions return counts, or -errno. All offsets and lengths are checked
 * against the memory given, so that a wrong number in a batch cannot reach beyond it: one comparison a frame.
 */
#define _GNU_SOURCE
#include "common.h"
#include "uring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* One byte more than the longest packet of the datapath (MAX_SUPER_PACKET in packet/arena.ts): what is longer shows. */
#define READ_LIMIT 65664
/* struct virtio_net_hdr, which stands in the headroom right in front of every frame. */
#define VNET_HEADER 10
/*
 * A burst of super-packets ends here: what was read is to be in the second-level cache still when it is sent on. With 16
 * of them at a time TCP through two TAPs runs 20 % slower than with 2.
 */
#define BURST_BYTES (128 << 10)

/* Whether `length` elements from `offset` on lie inside an array of `size`. */
static bool inside(int64_t offset, int64_t length, size_t size) {
  return offset >= 0 && length >= 0 && (uint64_t)offset + (uint64_t)length <= size;
}

/*
 * rxBurst(fd, arena: Uint8Array, frames: Int32Array, lengths: Int32Array, count, room, larges: Int32Array, largeCount):
 *         number
 *
 * Reads up to `count` frames: frame i goes to `frames[i]`, which has `room` bytes, and its length to `lengths[i]`; the
 * virtio-net header goes in front of it. Returns the number of frames read; -errno when it is none and the reason is not
 * that nothing waits.
 *
 * A frame longer than `room` goes to the next one of `larges` (READ_LIMIT bytes each), which then changes places with
 * `frames[i]`. READ_LIMIT as length means that the frame was longer than that. The burst ends when all of `larges` are
 * used up, or after BURST_BYTES; with no `larges` at all a frame that is too long is consumed, with length `room + 1`.
 *
 * read(2) on a TAP cuts a frame that is longer than the buffer, and says nothing. So every frame is read where the
 * longest has room, and copied to its small frame when it fits: 5 ns for 64 bytes, 30 for 1,514, since the large frame
 * stays in the cache. A vector of both (readv) would spare the copy and costs 110 ns.
 */
static napi_value rx_burst_js(napi_env env, napi_callback_info info) {
  napi_value values[8];
  int32_t fd, count, room, large_count;
  void *arena_data, *frames_data, *lengths_data, *larges_data;
  size_t arena_size, frames_count, lengths_count, larges_count;
  if (!arguments(env, info, 8, values) || napi_get_value_int32(env, values[0], &fd) != napi_ok ||
      !typed_array(env, values[1], napi_uint8_array, &arena_data, &arena_size) ||
      !typed_array(env, values[2], napi_int32_array, &frames_data, &frames_count) ||
      !typed_array(env, values[3], napi_int32_array, &lengths_data, &lengths_count) ||
      napi_get_value_int32(env, values[4], &count) != napi_ok ||
      napi_get_value_int32(env, values[5], &room) != napi_ok ||
      !typed_array(env, values[6], napi_int32_array, &larges_data, &larges_count) ||
      napi_get_value_int32(env, values[7], &large_count) != napi_ok || !inside(0, count, frames_count) ||
      !inside(0, count, lengths_count) || !inside(0, large_count, larges_count) || room < 1 || room >= READ_LIMIT) {
    return int_value(env, -EINVAL);
  }
  uint8_t *arena = arena_data;
  int32_t *frames = frames_data;
  int32_t *lengths = lengths_data;
  int32_t *larges = larges_data;
  uint8_t overflow;
  int32_t got = 0, used = 0, bytes = 0;
  int error = 0;
  while (got < count && bytes < BURST_BYTES && (used < large_count || large_count == 0)) {
    if (!inside((int64_t)frames[got] - VNET_HEADER, VNET_HEADER + room, arena_size) ||
        (large_count > 0 && !inside((int64_t)larges[used] - VNET_HEADER, VNET_HEADER + READ_LIMIT, arena_size))) {
      error = EFAULT;
      break;
    }
    uint8_t *small = arena + frames[got] - VNET_HEADER;
    uint8_t *large = large_count > 0 ? arena + larges[used] - VNET_HEADER : NULL;
    ssize_t n;
    if (large != NULL) {
      n = read(fd, large, VNET_HEADER + READ_LIMIT);
    } else {
      struct iovec parts[2] = {{small, (size_t)(VNET_HEADER + room)}, {&overflow, 1}};
      n = readv(fd, parts, 2);
    }
    if (n <= 0) {
      if (n < 0 && errno == EINTR) {
        continue;
      }
      error = n < 0 && errno != EAGAIN ? errno : 0;
      break;
    }
    /* Less than a header is what no TAP gives: a frame of no bytes to whoever looks. */
    lengths[got] = n < VNET_HEADER ? 0 : (int32_t)n - VNET_HEADER;
    if (large != NULL) {
      if (lengths[got] > room) {
        int32_t frame = frames[got];
        frames[got] = larges[used];
        larges[used++] = frame;
      } else {
        memcpy(small, large, (size_t)n);
      }
    }
    bytes += lengths[got];
    got++;
  }
  return int_value(env, got > 0 ? got : -error);
}

/*
 * rxDiscard(fd, count): number
 *
 * Takes up to `count` frames out of the device and throws them away; returns how many there were.
 */
static napi_value rx_discard_js(napi_env env, napi_callback_info info) {
  napi_value values[2];
  int32_t fd, count;
  if (!arguments(env, info, 2, values) || napi_get_value_int32(env, values[0], &fd) != napi_ok ||
      napi_get_value_int32(env, values[1], &count) != napi_ok) {
    return int_value(env, -EINVAL);
  }
  /* With less than its header a TAP refuses the read, and throws the frame away uncounted. */
  uint8_t front[VNET_HEADER + 1];
  int32_t got = 0;
  while (got < count) {
    ssize_t n = read(fd, front, sizeof front);
    if (n > 0) {
      got++;
    } else if (n == 0 || errno != EINTR) {
      break;
    }
  }
  return int_value(env, got);
}

/* ---- Sending ---- */

/* What a thread keeps: its ring, while `users` queues have a file in it. */
struct thread {
  struct uring ring;
  int32_t users;
  bool used[URING_FILES];
};

static struct thread *thread_of(napi_env env) {
  void *data = NULL;
  return napi_get_instance_data(env, &data) == napi_ok ? data : NULL;
}

/* A thread that ends, however, leaves no ring behind. */
static void finalize_thread(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  struct thread *thread = data;
  uring_close(&thread->ring);
  free(thread);
}

/* A free slot of the thread's ring, which is opened for the first. -errno when there is none. */
static int32_t take_slot(struct thread *thread, int32_t fd) {
  if (thread->users == 0) {
    const int error = uring_open(&thread->ring);
    if (error != 0) {
      return -error;
    }
  }
  int32_t slot = 0;
  while (slot < URING_FILES && thread->used[slot]) {
    slot++;
  }
  /* A ring that had to be closed amid its work comes back when its users have left. */
  int error = slot == URING_FILES ? ENFILE : thread->ring.fd < 0 ? EIO : 0;
  if (error == 0) {
    error = uring_set_file(&thread->ring, (uint32_t)slot, fd);
  }
  if (error != 0) {
    if (thread->users == 0) {
      uring_close(&thread->ring);
    }
    return -error;
  }
  thread->used[slot] = true;
  thread->users++;
  return slot;
}

/*
 * joinRing(fd): number
 *
 * Has this thread's txBurst write to `fd` by io_uring: the slot that says so, or the negative errno of why it cannot. The
 * file stays open until leaveRing of that slot, or the end of the thread. One ring serves all queues of the thread, as one
 * per queue would be a descriptor, two mappings and 0.1 ms for each port in each thread.
 */
static napi_value join_ring_js(napi_env env, napi_callback_info info) {
  napi_value value;
  int32_t fd;
  struct thread *thread = thread_of(env);
  if (thread == NULL || !arguments(env, info, 1, &value) || napi_get_value_int32(env, value, &fd) != napi_ok || fd < 0) {
    return int_value(env, -EINVAL);
  }
  return int_value(env, take_slot(thread, fd));
}

/* leaveRing(slot): void - the file is closed when nobody else has it; the last slot takes the ring along. */
static napi_value leave_ring_js(napi_env env, napi_callback_info info) {
  napi_value value;
  int32_t slot;
  struct thread *thread = thread_of(env);
  if (thread == NULL || !arguments(env, info, 1, &value) || napi_get_value_int32(env, value, &slot) != napi_ok ||
      !inside(slot, 1, URING_FILES) || !thread->used[slot]) {
    return NULL;
  }
  thread->used[slot] = false;
  if (--thread->users == 0) {
    uring_close(&thread->ring);
  } else if (thread->ring.fd >= 0) {
    (void)uring_set_file(&thread->ring, (uint32_t)slot, -1);
  }
  return NULL;
}

/*
 * Least frames of a burst for which the ring is used. Frame for frame its way through the kernel is longer than that of
 * write(2), and one system call is spared for each but one: TAP to TAP in C, in one thread, a burst of 32 costs 7 % less,
 * of 8 4 % less, of 4 2 % more, of 2 15 % more.
 */
#define RING_LEAST 8

/* Frames to send; `errors[i]` is 0 for one that went out, else an errno. */
struct burst {
  int fd;
  /* What the ring calls the same file, or -1. */
  int32_t slot;
  const uint8_t *arena;
  const int32_t *frames;
  const int32_t *lengths;
  int32_t *errors;
};

/* In place of an errno: nobody tried yet. */
#define UNTRIED (-1)

static int outcome_of(int64_t result, int32_t length) {
  return result == (int64_t)length + VNET_HEADER ? 0 : result < 0 ? (int)-result : EMSGSIZE;
}

/* Sends those of the frames `[from, to)` that nobody tried, one write(2) each. */
static void write_singly(const struct burst *burst, int32_t from, int32_t to) {
  for (int32_t i = from; i < to; i++) {
    if (burst->errors[i] != UNTRIED) {
      continue;
    }
    ssize_t n;
    do {
      n = write(burst->fd, burst->arena + burst->frames[i] - VNET_HEADER, (size_t)burst->lengths[i] + VNET_HEADER);
    } while (n < 0 && errno == EINTR);
    burst->errors[i] = outcome_of(n < 0 ? -errno : n, burst->lengths[i]);
  }
}

/* As write_singly, at most URING_ENTRIES frames by one io_uring_enter(2); what the ring cannot do stays untried. */
static void write_by_ring(struct uring *ring, const struct burst *burst, int32_t from, int32_t to) {
  for (int32_t i = from; i < to; i++) {
    if (burst->errors[i] == UNTRIED) {
      uring_queue_write(ring, (uint32_t)burst->slot, burst->arena + burst->frames[i] - VNET_HEADER,
                        (uint32_t)burst->lengths[i] + VNET_HEADER, (uint64_t)i);
    }
  }
  const bool done = uring_run(ring);
  uint64_t tag;
  int32_t result;
  while (uring_result(ring, &tag, &result)) {
    /* EOPNOTSUPP: a file without RWF_NOWAIT, which no TAP is where there is a ring. */
    if (result != -EOPNOTSUPP && result != -EINTR) {
      burst->errors[tag] = outcome_of(result, burst->lengths[tag]);
    }
  }
  if (!done) {
    /* The kernel may have them or not: better lost than sent twice. */
    uring_close(ring);
    for (int32_t i = from; i < to; i++) {
      burst->errors[i] = burst->errors[i] == UNTRIED ? EIO : burst->errors[i];
    }
  }
}

/*
 * txBurst(fd, arena: Uint8Array, frames: Int32Array, lengths: Int32Array, start, count, errors: Int32Array,
 *         slot): number
 *
 * Writes `count` frames from `frames[start]` on, in that order, with the virtio-net header that is in front of each, and
 * returns how many the device took. `errors[i]` is 0 or the errno of frame `start + i`; each is tried, since the kernel
 * refuses frames singly (too short, no memory). All is done on return. `slot` is what joinRing gave for `fd`: by the ring
 * where that is faster; or -1: one write(2) each.
 */
static napi_value tx_burst_js(napi_env env, napi_callback_info info) {
  napi_value values[8];
  int32_t fd, start, count, slot;
  void *arena_data, *frames_data, *lengths_data, *errors_data;
  size_t arena_size, frames_count, lengths_count, errors_count;
  if (!arguments(env, info, 8, values) || napi_get_value_int32(env, values[0], &fd) != napi_ok ||
      !typed_array(env, values[1], napi_uint8_array, &arena_data, &arena_size) ||
      !typed_array(env, values[2], napi_int32_array, &frames_data, &frames_count) ||
      !typed_array(env, values[3], napi_int32_array, &lengths_data, &lengths_count) ||
      napi_get_value_int32(env, values[4], &start) != napi_ok ||
      napi_get_value_int32(env, values[5], &count) != napi_ok ||
      !typed_array(env, values[6], napi_int32_array, &errors_data, &errors_count) ||
      napi_get_value_int32(env, values[7], &slot) != napi_ok ||
      !inside(start, count, frames_count) || !inside(start, count, lengths_count) || !inside(0, count, errors_count)) {
    return int_value(env, -EINVAL);
  }
  const struct burst burst = {
      .fd = fd,
      .slot = slot,
      .arena = arena_data,
      .frames = (const int32_t *)frames_data + start,
      .lengths = (const int32_t *)lengths_data + start,
      .errors = errors_data,
  };
  for (int32_t i = 0; i < count; i++) {
    const int64_t length = burst.lengths[i];
    burst.errors[i] =
        length >= 0 && inside((int64_t)burst.frames[i] - VNET_HEADER, length + VNET_HEADER, arena_size) ? UNTRIED : EFAULT;
  }
  struct thread *thread = slot >= 0 && count >= RING_LEAST ? thread_of(env) : NULL;
  for (int32_t from = 0, to; from < count; from = to) {
    to = count - from < URING_ENTRIES ? count : from + URING_ENTRIES;
    if (thread != NULL && thread->ring.fd >= 0) {
      write_by_ring(&thread->ring, &burst, from, to);
    }
    write_singly(&burst, from, to);
  }
  int32_t sent = 0;
  for (int32_t i = 0; i < count; i++) {
    sent += burst.errors[i] == 0;
  }
  return int_value(env, sent);
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"rxBurst", NULL, rx_burst_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"rxDiscard", NULL, rx_discard_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"joinRing", NULL, join_ring_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"leaveRing", NULL, leave_ring_js, NULL, NULL, NULL, napi_enumerable, NULL},
      {"txBurst", NULL, tx_burst_js, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  if (napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions) != napi_ok) {
    return NULL;
  }
  struct thread *thread = calloc(1, sizeof *thread);
  if (thread == NULL) {
    return throw_outcome(env, (struct outcome){ENOMEM, "calloc"});
  }
  thread->ring.fd = -1;
  if (napi_set_instance_data(env, thread, finalize_thread, NULL) != napi_ok) {
    free(thread);
    return NULL;
  }
  return exports;
}
