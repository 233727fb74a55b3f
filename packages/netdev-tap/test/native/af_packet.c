/*
 * The far end of a network device for tests: an AF_PACKET socket behind a pipe. Frames have a virtio-net header (10
 * bytes) in front of them, both ways.
 *
 *   af_packet DEVICE   sends the frames that come on standard input, writes those that the kernel receives from DEVICE to
 *                      standard output. Every frame has its length in front, 32 bits in host order. A length of READY
 *                      tells that the socket is there, one of SENT that a frame of the input was handed over.
 *   af_packet poll FD  exits with 0 when descriptor FD polls readable now, with 1 when not.
 *   af_packet grow FD  gives pipe FD a capacity of 1 MiB.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READY 0xfffffffeu
#define SENT 0xffffffffu
#define ADDRESSES 12
#define TAG 4

#define VNET_HEADER 10

static unsigned char frame[1 << 17];

static void fail(const char *what)
{
    fprintf(stderr, "af_packet: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void put(const void *data, size_t length)
{
    for (const char *at = data; length > 0;) {
        ssize_t n = write(1, at, length);
        if (n < 0) fail("standard output");
        at += n;
        length -= (size_t)n;
    }
}

/* Ends the program where the input ends. */
static void get(void *data, size_t length)
{
    for (char *at = data; length > 0;) {
        ssize_t n = read(0, at, length);
        if (n == 0) exit(0);
        if (n < 0) fail("standard input");
        at += n;
        length -= (size_t)n;
    }
}

static void put_length(uint32_t length)
{
    put(&length, sizeof length);
}

/* Past the queueing discipline: it throws frames away until, up to a second later, it hears that the link is up. */
static void bypass(int fd, int on)
{
    if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) < 0) fail("PACKET_QDISC_BYPASS");
}

static void forward(int fd)
{
    uint32_t length;
    get(&length, sizeof length);
    if (length > sizeof frame) {
        fprintf(stderr, "af_packet: a frame of %u bytes is too long\n", length);
        exit(2);
    }
    get(frame, length);
    ssize_t n = send(fd, frame, length, 0);
    if (n < 0 && errno == ENOBUFS && frame[0] != 0) {
        /* Work is left on the frame that the device does not do: the kernel does it, but not past the discipline. */
        bypass(fd, 0);
        n = send(fd, frame, length, 0);
        bypass(fd, 1);
    }
    if (n != (ssize_t)length) fail("send");
    put_length(SENT);
}

static void receive(int fd)
{
    struct sockaddr_ll from;
    char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
    /* Room for the outer VLAN tag, which the kernel takes out of the frame and tells apart. */
    unsigned char *front = frame + TAG;
    struct iovec iov = { front, sizeof frame - TAG };
    struct msghdr message = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1,
                              .msg_control = control, .msg_controllen = sizeof control };
    ssize_t n = recvmsg(fd, &message, 0);
    if (n < 0) {
        /* The device went down: it may come up again. */
        if (errno == ENETDOWN) return;
        fail("recvmsg");
    }
    if (from.sll_pkttype == PACKET_OUTGOING || n < VNET_HEADER + ADDRESSES) return;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
        struct tpacket_auxdata aux;
        if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA) continue;
        memcpy(&aux, CMSG_DATA(c), sizeof aux);
        if (!(aux.tp_status & TP_STATUS_VLAN_VALID)) continue;
        uint16_t tag[2] = { htons(aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : ETH_P_8021Q),
                            htons(aux.tp_vlan_tci) };
        /* Where the checksum starts is counted without the tag. */
        uint16_t start;
        memcpy(&start, front + 6, sizeof start);
        start += front[0] & VIRTIO_NET_HDR_F_NEEDS_CSUM ? TAG : 0;
        memcpy(front + 6, &start, sizeof start);
        memmove(frame, front, VNET_HEADER + ADDRESSES);
        memcpy(frame + VNET_HEADER + ADDRESSES, tag, TAG);
        front = frame;
        n += TAG;
    }
    put_length((uint32_t)n);
    put(front, (size_t)n);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "poll") == 0) {
        struct pollfd p = { .fd = atoi(argv[2]), .events = POLLIN };
        if (poll(&p, 1, 0) < 0) fail("poll");
        return p.revents & POLLIN ? 0 : 1;
    }
    if (argc == 3 && strcmp(argv[1], "grow") == 0) {
        if (fcntl(atoi(argv[2]), F_SETPIPE_SZ, 1 << 20) < 0) fail("F_SETPIPE_SZ");
        return 0;
    }
    if (argc != 2) {
        fprintf(stderr, "usage: af_packet DEVICE | poll FD | grow FD\n");
        return 2;
    }
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    if (fd < 0) fail("socket");
    int on = 1, memory = 1 << 24;
    if (setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) < 0) fail("PACKET_AUXDATA");
    if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) < 0) fail("PACKET_VNET_HDR");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &memory, sizeof memory) < 0) fail("SO_RCVBUFFORCE");
    bypass(fd, 1);
    struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
                                   .sll_ifindex = (int)if_nametoindex(argv[1]) };
    if (address.sll_ifindex == 0) fail(argv[1]);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
    put_length(READY);
    struct pollfd fds[2] = { { .fd = 0, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
    for (;;) {
        if (poll(fds, 2, -1) < 0) fail("poll");
        if (fds[1].revents) receive(fd);
        if (fds[0].revents) forward(fd);
    }
}
