/*
 * ping for the lab: sends COUNT echo requests to an IPv4 address, INTERVAL microseconds apart, and prints one JSON line.
 * Debian's minimal images have no ping, and Node has no raw sockets; this needs only the C compiler that the
 * native bindings need anyway.
 *
 * usage: icmp-ping ADDRESS COUNT INTERVAL_US
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip_icmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_COUNT 100000
#define REPLY_TIMEOUT_US 1000000

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static uint16_t checksum(const uint8_t *p, size_t n)
{
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < n; i += 2)
        sum += (uint32_t)p[i] << 8 | p[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Waits for the reply to sequence number seq until deadline; returns its arrival time or -1. */
static double await_reply(int fd, uint16_t id, uint16_t seq, double deadline)
{
    uint8_t packet[2048];
    for (;;) {
        double left = deadline - now_us();
        if (left <= 0)
            return -1;
        struct timeval tv = { .tv_sec = (time_t)(left / 1e6), .tv_usec = (suseconds_t)left % 1000000 };
        if (tv.tv_sec == 0 && tv.tv_usec == 0)
            tv.tv_usec = 1;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
        ssize_t n = recv(fd, packet, sizeof packet, 0);
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            return -1;
        if (n < (ssize_t)(sizeof(struct iphdr) + sizeof(struct icmphdr)))
            continue;
        size_t header = (size_t)(packet[0] & 15) * 4;
        struct icmphdr icmp;
        if ((size_t)n < header + sizeof icmp)
            continue;
        memcpy(&icmp, packet + header, sizeof icmp);
        if (icmp.type == ICMP_ECHOREPLY && icmp.un.echo.id == id && ntohs(icmp.un.echo.sequence) == seq)
            return now_us();
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    if (argc != 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
        fprintf(stderr, "usage: icmp-ping ADDRESS COUNT INTERVAL_US\n");
        return 2;
    }
    long count = atol(argv[2]), interval = atol(argv[3]);
    if (count < 1 || count > MAX_COUNT || interval < 0) {
        fprintf(stderr, "icmp-ping: COUNT must be 1 to %d, INTERVAL_US not negative\n", MAX_COUNT);
        return 2;
    }
    int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    if (fd < 0) {
        perror("icmp-ping: socket");
        return 1;
    }
    static double rtt[MAX_COUNT];
    long received = 0;
    uint16_t id = htons((uint16_t)getpid());
    for (long i = 0; i < count; i++) {
        uint8_t packet[64] = { 0 };
        struct icmphdr icmp = { .type = ICMP_ECHO };
        icmp.un.echo.id = id;
        icmp.un.echo.sequence = htons((uint16_t)i);
        memcpy(packet, &icmp, sizeof icmp);
        for (size_t b = sizeof icmp; b < sizeof packet; b++)
            packet[b] = (uint8_t)b;
        icmp.checksum = checksum(packet, sizeof packet);
        memcpy(packet, &icmp, sizeof icmp);
        double sent = now_us();
        if (sendto(fd, packet, sizeof packet, 0, (struct sockaddr *)&to, sizeof to) == (ssize_t)sizeof packet) {
            double got = await_reply(fd, id, (uint16_t)i, sent + REPLY_TIMEOUT_US);
            if (got >= 0)
                rtt[received++] = got - sent;
        }
        if (interval > 0)
            usleep((useconds_t)interval);
    }
    close(fd);
    qsort(rtt, (size_t)received, sizeof rtt[0], by_value);
    printf("{\"sent\":%ld,\"received\":%ld", count, received);
    if (received > 0)
        printf(",\"minUs\":%.1f,\"p50Us\":%.1f,\"p99Us\":%.1f,\"maxUs\":%.1f", rtt[0], rtt[received / 2],
               rtt[received * 99 / 100], rtt[received - 1]);
    printf("}\n");
    return 0;
}
