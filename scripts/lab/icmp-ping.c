/*
 * ping for the lab: sends COUNT echo requests to an address, INTERVAL microseconds apart, and prints one JSON line.
 * Debian's minimal images have no ping, and Node has no raw sockets; this needs only the C compiler that the
 * native bindings need anyway.
 *
 * usage: icmp-ping ADDRESS COUNT INTERVAL_US
 *
 * ADDRESS is an IPv4 or an IPv6 one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdbool.h>
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

/*
 * Waits for the reply to sequence number seq until deadline; returns its arrival time or -1. The header is the same in both
 * versions but for its type; a raw socket of IPv6 gives it without the IP header.
 */
static double await_reply(int fd, bool v6, uint16_t id, uint16_t seq, double deadline)
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
        if (n < 1)
            continue;
        size_t header = v6 ? 0 : (size_t)(packet[0] & 15) * 4;
        struct icmphdr icmp;
        if ((size_t)n < header + sizeof icmp)
            continue;
        memcpy(&icmp, packet + header, sizeof icmp);
        if (icmp.type == (v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) && icmp.un.echo.id == id && ntohs(icmp.un.echo.sequence) == seq)
            return now_us();
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in to4 = { .sin_family = AF_INET };
    struct sockaddr_in6 to6 = { .sin6_family = AF_INET6 };
    const bool v6 = argc == 4 && inet_pton(AF_INET6, argv[1], &to6.sin6_addr) == 1;
    const struct sockaddr *to = v6 ? (struct sockaddr *)&to6 : (struct sockaddr *)&to4;
    const socklen_t to_size = v6 ? sizeof to6 : sizeof to4;
    if (argc != 4 || (!v6 && inet_pton(AF_INET, argv[1], &to4.sin_addr) != 1)) {
        fprintf(stderr, "usage: icmp-ping ADDRESS COUNT INTERVAL_US\n");
        return 2;
    }
    long count = atol(argv[2]), interval = atol(argv[3]);
    if (count < 1 || count > MAX_COUNT || interval < 0) {
        fprintf(stderr, "icmp-ping: COUNT must be 1 to %d, INTERVAL_US not negative\n", MAX_COUNT);
        return 2;
    }
    int fd = v6 ? socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6)
                : socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    if (fd < 0) {
        perror("icmp-ping: socket");
        return 1;
    }
    static double rtt[MAX_COUNT];
    long received = 0;
    uint16_t id = htons((uint16_t)getpid());
    for (long i = 0; i < count; i++) {
        uint8_t packet[64] = { 0 };
        struct icmphdr icmp = { .type = v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO };
        icmp.un.echo.id = id;
        icmp.un.echo.sequence = htons((uint16_t)i);
        memcpy(packet, &icmp, sizeof icmp);
        for (size_t b = sizeof icmp; b < sizeof packet; b++)
            packet[b] = (uint8_t)b;
        /* The kernel fills in that of ICMPv6. */
        if (!v6)
            icmp.checksum = checksum(packet, sizeof packet);
        memcpy(packet, &icmp, sizeof icmp);
        double sent = now_us();
        if (sendto(fd, packet, sizeof packet, 0, to, to_size) == (ssize_t)sizeof packet) {
            double got = await_reply(fd, v6, id, (uint16_t)i, sent + REPLY_TIMEOUT_US);
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
