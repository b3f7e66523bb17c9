// What both ends need of HTTP/1.1: fields of a head, bodies as they arrive, growing lists of times. Nothing is copied.
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define STAMP 19  // digits of a time: nanoseconds of the clock that both ends share

static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void die(const char *what) {
    perror(what);
    exit(1);
}

// A body that is on its way: by its length, or in chunks.
struct body {
    bool chunked, done, bad;
    uint64_t left;                                         // bytes of the body, or of the chunk, that are still to come
    enum { SIZE, REST_OF_LINE, DATA, AFTER, TRAILER } at;  // where in the chunks
    unsigned trailer;                                      // characters of the line of the trailer
};

struct head {
    bool chunked, close;
    int64_t length;  // -1: not said
};

// The fields of a head that say how its body comes. `from` is the start of its first line.
static inline struct head read_head(const char *from, size_t size) {
    struct head found = {.length = -1};
    const char *end = from + size, *line = from;
    while ((line = memchr(line, '\n', (size_t)(end - line))) && ++line < end) {
        size_t rest = (size_t)(end - line);
        if (rest > 15 && !strncasecmp(line, "content-length:", 15))
            found.length = strtoll(line + 15, NULL, 10);
        else if (rest > 18 && !strncasecmp(line, "transfer-encoding:", 18))
            found.chunked = true;
        else if (rest > 17 && !strncasecmp(line, "connection: close", 17))
            found.close = true;
    }
    return found;
}

static inline struct body body_of(struct head head) {
    struct body body = {.chunked = head.chunked, .left = head.chunked || head.length < 0 ? 0 : (uint64_t)head.length};
    body.done = !body.chunked && body.left == 0;
    return body;
}

static inline int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Hands on the next piece of the body in `data`; *size is how long it is (0: there was only framing). Returns the bytes used.
static inline size_t body_piece(struct body *body, const char *data, size_t n, const char **piece, size_t *size) {
    *size = 0;
    if (!body->chunked || body->at == DATA) {
        size_t take = n < body->left ? n : (size_t)body->left;
        *piece = data;
        *size = take;
        body->left -= take;
        if (!body->left) body->chunked ? (void)(body->at = AFTER) : (void)(body->done = true);
        return take;
    }
    for (size_t i = 0; i < n; i++) {
        char c = data[i];
        int digit;
        switch (body->at) {
        case SIZE:
            if ((digit = hex(c)) >= 0) {
                body->left = body->left << 4 | (unsigned)digit;
                break;
            }
            body->at = REST_OF_LINE;  // fall through
        case REST_OF_LINE:
            if (c != '\n') break;
            body->at = body->left ? DATA : TRAILER;
            body->trailer = 0;
            if (body->left) return i + 1;
            break;
        case AFTER:
            if (c == '\n') body->at = SIZE, body->left = 0;
            else if (c != '\r') return body->bad = true, n;
            break;
        case TRAILER:
            if (c == '\n' && !body->trailer) return body->done = true, i + 1;
            body->trailer = c == '\n' ? 0 : body->trailer + (c != '\r');
            break;
        case DATA: break;
        }
    }
    return n;
}

static inline void wake_at(int timer, uint64_t ns) {
    struct itimerspec when = {.it_value = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)}};
    if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL)) die("timerfd_settime");
}
