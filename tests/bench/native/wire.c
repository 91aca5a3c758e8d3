/* An emulated RS-485 wire on a pseudo-terminal, for measuring clients: every request takes the time
 * of its characters, the device answers after one silence, the reply arrives in pieces as a UART's
 * FIFO hands them over. A request that begins before the line was silent for long enough is counted,
 * and waits on the wire until it may start. Nothing of panelctl is in here.
 *
 * Usage: wire BAUD BITS SILENCE_NS FIFO [LATE_EVERY LATE_MS]
 * Prints the path of the port, then serves until its standard input is closed, then prints one line
 * of JSON: requests, violations, and the nanoseconds that the wire was in use or silent by rule.
 *
 * The register at address a holds a; so a value tells which question it answers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void wait_until(int64_t at)
{
    int64_t left = at - now_ns();
    if (left > 200000) {
        struct timespec t = {(at - 150000) / 1000000000, (at - 150000) % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    }
    while (now_ns() < at)
        ;
}

static uint16_t crc16(const uint8_t *p, int n)
{
    uint16_t crc = 0xFFFF;
    while (n--) {
        crc ^= *p++;
        for (int i = 0; i < 8; i++)
            crc = crc & 1 ? (crc >> 1) ^ 0xA001 : crc >> 1;
    }
    return crc;
}

static int request_length(const uint8_t *p, int n)
{
    if (n < 2)
        return 8;
    if (p[1] == 15 || p[1] == 16)
        return n < 7 ? 9 : 9 + p[6];
    return 8;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    int64_t char_ns = 1000000000LL * atoi(argv[2]) / atoi(argv[1]);
    int64_t silence_ns = atoll(argv[3]);
    int fifo = atoi(argv[4]);
    int late_every = argc > 6 ? atoi(argv[5]) : 0;
    int64_t late_ns = argc > 6 ? 1000000LL * atoll(argv[6]) : 0;
    int master, slave;
    struct termios raw;
    if (openpty(&master, &slave, NULL, NULL, NULL))
        return 1;
    tcgetattr(slave, &raw);
    cfmakeraw(&raw);
    tcsetattr(slave, TCSANOW, &raw);
    fcntl(master, F_SETFL, O_NONBLOCK);
    printf("%s\n", ttyname(slave));
    fflush(stdout);

    uint8_t in[512], out[512];
    int have = 0;
    long requests = 0, violations = 0;
    int64_t quiet = 0, start = 0, used = 0;
    struct pollfd fds[2] = {{master, POLLIN, 0}, {0, POLLIN, 0}};
    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            break;
        if (fds[1].revents)
            break;
        ssize_t got = read(master, in + have, sizeof in - have);
        if (got <= 0)
            continue;
        int64_t at = now_ns();
        if (!have) {
            start = at > quiet ? at : quiet;
            if (at < quiet)
                violations++;
        }
        have += got;
        int length = request_length(in, have);
        if (have < length)
            continue;
        int64_t end = start + length * char_ns;
        int wrong = crc16(in, length - 2) != (in[length - 2] | in[length - 1] << 8);
        int address = in[2] << 8 | in[3], count = in[4] << 8 | in[5], n = 0;
        have = 0;
        requests++;
        quiet = end + silence_ns;
        if (wrong)
            continue;
        out[n++] = in[0];
        out[n++] = in[1];
        if (in[1] == 3 || in[1] == 4) {
            out[n++] = 2 * count;
            for (int i = 0; i < count; i++) {
                out[n++] = (address + i) >> 8;
                out[n++] = (address + i) & 0xFF;
            }
        } else {
            memcpy(out, in, 6);
            n = 6;
        }
        uint16_t crc = crc16(out, n);
        out[n++] = crc & 0xFF;
        out[n++] = crc >> 8;
        int64_t from = end + silence_ns;
        if (late_every && requests % late_every == 0)
            from += late_ns;
        for (int sent = 0; sent < n;) {
            int piece = n - sent < fifo ? n - sent : fifo;
            wait_until(from + (int64_t)(sent + piece) * char_ns);
            if (write(master, out + sent, piece) < 0)
                break;
            sent += piece;
        }
        quiet = from + n * char_ns + silence_ns;
        used += quiet - start;
    }
    printf("{\"requests\": %ld, \"violations\": %ld, \"used_ns\": %lld}\n", requests, violations,
           (long long)used);
    return 0;
}
