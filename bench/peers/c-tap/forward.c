/*
 * The yardstick for TAP: `forward A B` makes two TAP devices with all offloads and moves what one reads to the other, one
 * read(2) and one write(2) a frame, without looking at it, polling without rest until it is killed. Prints "ready" when
 * it is.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Frames from one device before it is the other's turn. */
#define BURST 32

static int check(int result, const char *what) {
  if (result < 0) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
  }
  return result;
}

static int open_tap(const char *name) {
  struct ifreq request;
  memset(&request, 0, sizeof request);
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  const int fd = check(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), "/dev/net/tun");
  check(ioctl(fd, TUNSETIFF, &request), name);
  check(ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6), "TUNSETOFFLOAD");
  return fd;
}

int main(int argc, char **argv) {
  static char frame[1 << 17];
  if (argc != 3) {
    fprintf(stderr, "usage: forward A B\n");
    return 2;
  }
  const int taps[2] = {open_tap(argv[1]), open_tap(argv[2])};
  printf("ready\n");
  fflush(stdout);
  for (int from = 0;; from = !from) {
    for (int i = 0; i < BURST; i++) {
      const ssize_t length = read(taps[from], frame, sizeof frame);
      if (length <= 0) break;
      /* What a device that is down refuses is lost. */
      if (write(taps[!from], frame, (size_t)length) < 0) continue;
    }
  }
}
