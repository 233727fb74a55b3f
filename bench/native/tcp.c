/*
 * The ends of the TCP benchmarks:
 *
 *   tcp serve PORTS                          serves both tests below on PORTS ports from 5001 on, until it is killed;
 *                                            prints "ready" when it does
 *   tcp stream ADDRESS SECONDS               writes to one connection; prints the bit/s that arrived
 *   tcp requests ADDRESS PORTS SECONDS       connects, sends a byte, awaits one, closes, 16 connections at a time;
 *                                            prints how many a second
 *
 * Sockets have the system's default settings, except that a request waits for nothing (TCP_NODELAY).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_PORT = 5001, MAX_PORTS = 64, MAX_FDS = 4096, EVENTS = 64, CONNECTIONS = 16, CHUNK = 128 << 10 };
/* What a client says first. */
enum { STREAM = 's', REQUEST = 'r' };

static char chunk[CHUNK];
static int queue;

static int check(long result, const char *what) {
  if (result < 0) {
    fprintf(stderr, "tcp: %s: %s\n", what, strerror(errno));
    exit(1);
  }
  return (int)result;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void watch(int operation, int fd, uint32_t events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  check(epoll_ctl(queue, operation, fd, &event), "epoll_ctl");
}

/* ---- serve ---- */

/* By descriptor: bytes of a stream so far, -1 for listeners and for connections that said nothing yet. */
static int64_t streams[MAX_FDS];

static void accept_all(int listener) {
  int fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    if (fd >= MAX_FDS) {
      close(fd);
      continue;
    }
    streams[fd] = -1;
    watch(EPOLL_CTL_ADD, fd, EPOLLIN);
  }
}

/* One read: a stream's bytes are counted, and at its end the count is sent; a request is answered. */
static void serve_connection(int fd) {
  const ssize_t length = read(fd, chunk, sizeof chunk);
  if (length < 0 && errno == EAGAIN) return;
  if (length > 0) {
    if (streams[fd] < 0 && chunk[0] == REQUEST) {
      if (write(fd, chunk, 1) == 1) return;
    } else {
      streams[fd] = (streams[fd] < 0 ? 0 : streams[fd]) + length;
      return;
    }
  } else if (length == 0 && streams[fd] >= 0) {
    if (write(fd, &streams[fd], sizeof streams[fd]) < 0) perror("tcp: write");
  }
  close(fd);
}

static void serve(int ports) {
  int last = 0;
  for (int i = 0; i < ports; i++) {
    const int one = 1;
    const struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(FIRST_PORT + i))};
    last = check(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
    check(setsockopt(last, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), "SO_REUSEADDR");
    check(bind(last, (const struct sockaddr *)&here, sizeof here), "bind");
    check(listen(last, 1024), "listen");
    watch(EPOLL_CTL_ADD, last, EPOLLIN);
  }
  printf("ready\n");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[EVENTS];
    const int count = epoll_wait(queue, events, EVENTS, -1);
    for (int i = 0; i < count; i++) {
      /* Listeners were opened first. */
      if (events[i].data.fd <= last) accept_all(events[i].data.fd);
      else serve_connection(events[i].data.fd);
    }
  }
}

/* ---- clients ---- */

static struct sockaddr_in server(const char *text) {
  struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(FIRST_PORT)};
  if (inet_pton(AF_INET, text, &there.sin_addr) != 1) {
    fprintf(stderr, "tcp: \"%s\" is no IPv4 address\n", text);
    exit(2);
  }
  return there;
}

static void stream(const char *text, double seconds) {
  const struct sockaddr_in there = server(text);
  const int fd = check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  check(connect(fd, (const struct sockaddr *)&there, sizeof there), "connect");
  memset(chunk, STREAM, sizeof chunk);
  const double start = now();
  while (now() - start < seconds) check(write(fd, chunk, sizeof chunk), "write");
  check(shutdown(fd, SHUT_WR), "shutdown");
  int64_t bytes = 0;
  if (check(recv(fd, &bytes, sizeof bytes, MSG_WAITALL), "recv") != sizeof bytes) {
    fprintf(stderr, "tcp: the server gave no count\n");
    exit(1);
  }
  printf("%.0f\n", (double)bytes * 8 / (now() - start));
}

static void begin(struct sockaddr_in *there, int ports) {
  static int next;
  const int one = 1;
  const int fd = check(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
  check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "TCP_NODELAY");
  there->sin_port = htons((uint16_t)(FIRST_PORT + next++ % ports));
  if (connect(fd, (const struct sockaddr *)there, sizeof *there) != 0 && errno != EINPROGRESS) check(-1, "connect");
  watch(EPOLL_CTL_ADD, fd, EPOLLOUT);
}

static void requests(const char *text, int ports, double seconds) {
  struct sockaddr_in there = server(text);
  char byte = REQUEST;
  unsigned long done = 0;
  for (int i = 0; i < CONNECTIONS; i++) begin(&there, ports);
  const double start = now();
  while (now() - start < seconds) {
    struct epoll_event events[EVENTS];
    const int count = epoll_wait(queue, events, EVENTS, 100);
    for (int i = 0; i < count; i++) {
      const int fd = events[i].data.fd;
      if ((events[i].events & EPOLLERR) == 0 && (events[i].events & EPOLLOUT) != 0 && write(fd, &byte, 1) == 1) {
        watch(EPOLL_CTL_MOD, fd, EPOLLIN);
        continue;
      }
      if ((events[i].events & EPOLLIN) != 0 && read(fd, &byte, 1) == 1) done++;
      close(fd);
      begin(&there, ports);
    }
  }
  printf("%.0f\n", (double)done / (now() - start));
}

int main(int argc, char **argv) {
  queue = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  const int ports = argc == 3 ? atoi(argv[2]) : argc == 5 ? atoi(argv[3]) : 1;
  if (ports < 1 || ports > MAX_PORTS) {
    fprintf(stderr, "tcp: PORTS is 1 to %d\n", MAX_PORTS);
    return 2;
  }
  if (argc == 3 && strcmp(argv[1], "serve") == 0) {
    serve(ports);
  } else if (argc == 4 && strcmp(argv[1], "stream") == 0) {
    stream(argv[2], atof(argv[3]));
  } else if (argc == 5 && strcmp(argv[1], "requests") == 0) {
    requests(argv[2], ports, atof(argv[4]));
  } else {
    fprintf(stderr, "usage: tcp serve PORTS | stream ADDRESS SECONDS | requests ADDRESS PORTS SECONDS\n");
    return 2;
  }
  return 0;
}
