// Load on a gateway: the same request again and again, every answer checked. Prints what came back as one JSON object.
//
//   load PORT FILE CONNECTIONS SECONDS CHUNKS [RATE [REQUESTS]]
//
// FILE is the request with its head. CHUNKS is how many pieces a stream has to have; 0: a whole answer. RATE is requests a
// second, sent when they are due whatever became of the others (their time counts from when they were due); 0: each
// connection asks again when it was answered. It ends after SECONDS or REQUESTS, and waits for what is on its way: rates
// are of the time until the last answer, so that slow servers are not cut off with most of their work undone.
//
// An answer is good if its status is 2xx, it is as long as it says, and the times in it (see mock.c) are as many as there
// should be, in order, and later than the request. So nothing cached, cut, doubled or of somebody else is counted.
#include "http.h"

#define MOST_HEAD 32768
#define PATIENCE 60000000000u  // nanoseconds that the last answers get

struct conn {
    int fd, status, stamps, digits;  // digits of a time that is being read; -1: not in one
    bool busy, in_body, close, until_end;
    size_t sent, head_n, tail_n;
    struct body body;
    uint64_t due, asked, value, last;  // when it was due, was sent; the time being read, the last one
    bool disordered;
    struct conn *next_idle;
    char head[MOST_HEAD], tail[16], said[240];
    size_t said_n;
};

struct times {
    uint64_t *all;
    size_t n, room;
};

static struct {
    uint64_t answered, stamps, not_2xx, broken, wrong, unanswered, connects;
} count;
static struct times took, first, delay;
static char *request, first_failure[400];
static size_t request_size;
static int port, chunks, epoll_fd, connections, busy;
static struct conn *conns, *idle;
static uint64_t began, ends, last_answer, sent, most, gap;

static void note(struct times *times, uint64_t value) {
    if (times->n == times->room) {
        times->room = times->room ? 2 * times->room : 1 << 16;
        if (!(times->all = realloc(times->all, times->room * sizeof value))) die("realloc");
    }
    times->all[times->n++] = value;
}

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void watch(struct conn *c, uint32_t events, int how) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll_fd, how, c->fd, &event)) die("epoll_ctl");
}

static void failed(struct conn *c, uint64_t *kind, const char *what) {
    ++*kind;
    if (!*first_failure) {
        int n = snprintf(first_failure, 80, "%s, status %d, %d of %d pieces: ", what, c->status, c->stamps, chunks);
        for (size_t i = 0; i < c->said_n; i++)  // as a JSON string
            first_failure[n++] = c->said[i] < 32 || c->said[i] == '"' || c->said[i] == '\\' || c->said[i] > 126 ? ' ' : c->said[i];
    }
}

static void open_line(struct conn *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    count.connects++;
    watch(c, EPOLLIN, EPOLL_CTL_ADD);
}

static void lose_line(struct conn *c) {
    close(c->fd);
    c->fd = -1;
}

static void push(struct conn *c) {
    ssize_t n = send(c->fd, request + c->sent, request_size - c->sent, MSG_NOSIGNAL);
    if (n > 0) c->sent += (size_t)n;  // a line that broke is met when it is read
    if (c->sent < request_size) watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    else if (request_size > 16384) watch(c, EPOLLIN, EPOLL_CTL_MOD);
}

static void ask(struct conn *c, uint64_t due) {
    if (c->fd < 0) open_line(c);
    c->busy = true;
    c->status = c->stamps = 0;
    c->in_body = c->disordered = c->close = false;
    c->sent = c->head_n = c->tail_n = c->said_n = 0;
    c->digits = -1;
    c->asked = c->last = now_ns();
    c->due = due ? due : c->asked;
    sent++;
    busy++;
    push(c);
}

static bool over(uint64_t now) { return now >= ends || sent >= most; }

// Asks again, if it is time to; otherwise it waits until it is.
static void ask_next(struct conn *c) {
    uint64_t now = now_ns(), due = gap ? began + sent * gap : now;
    if (!over(now) && due <= now) ask(c, gap ? due : 0);
    else {
        c->next_idle = idle;
        idle = c;
    }
}

static void ended(struct conn *c, bool whole) {
    uint64_t now = now_ns();
    bool done = c->tail_n >= 8 && memmem(c->tail, c->tail_n, "[DONE]", 6);
    c->busy = false;
    busy--;
    if (c->status && (c->status < 200 || c->status > 299)) failed(c, &count.not_2xx, "refused");
    else if (!whole) failed(c, &count.broken, "cut");
    else if (c->disordered || c->stamps != (chunks ? chunks : 1) || (chunks && !done)) failed(c, &count.wrong, "not what was said");
    else {
        note(&took, now - c->due);
        count.answered++;
        last_answer = now;
    }
    if (!whole || c->close) lose_line(c);
    if (count.not_2xx + count.broken + count.wrong < 10000) ask_next(c);
}

static void stamped(struct conn *c) {
    uint64_t now = now_ns();
    if (!c->stamps) note(&first, now - c->due);
    if (chunks) note(&delay, now - c->value);
    c->disordered |= c->value <= c->last;  // the first has to be later than the request
    c->last = c->value;
    c->stamps++;
    count.stamps++;
}

static void take(struct conn *c, const char *data, size_t n) {
    size_t room = sizeof c->said - c->said_n, keep = n < room ? n : room;
    memcpy(c->said + c->said_n, data, keep);
    c->said_n += keep;
    size_t tail = n < sizeof c->tail ? n : sizeof c->tail, old = c->tail_n + tail > sizeof c->tail ? sizeof c->tail - tail : c->tail_n;
    memmove(c->tail, c->tail + c->tail_n - old, old);
    memcpy(c->tail + old, data + n - tail, tail);
    c->tail_n = old + tail;
    for (const char *end = data + n; data < end; data++) {
        if (c->digits < 0) {
            if (!(data = memchr(data, '@', (size_t)(end - data)))) return;
            c->digits = 0;
            c->value = 0;
        } else if (*data < '0' || *data > '9') c->digits = -1;
        else {
            c->value = 10 * c->value + (uint64_t)(*data - '0');
            if (++c->digits == STAMP) {
                stamped(c);
                c->digits = -1;
            }
        }
    }
}

static size_t read_start(struct conn *c, const char *data, size_t n) {
    size_t room = MOST_HEAD - c->head_n, more = n < room ? n : room;
    memcpy(c->head + c->head_n, data, more);
    const char *end = memmem(c->head, c->head_n + more, "\r\n\r\n", 4);
    if (!end) {
        c->head_n += more;
        return more;
    }
    size_t size = (size_t)(end - c->head) + 4, used = size - c->head_n;
    c->head_n = 0;
    c->status = size > 12 ? atoi(c->head + 9) : 0;
    if (c->status == 100) return used;
    struct head head = read_head(c->head, size);
    c->body = body_of(head);
    c->until_end = !head.chunked && head.length < 0;
    if (c->until_end) c->body.left = UINT64_MAX, c->body.done = false;
    c->close |= head.close;
    c->in_body = true;
    return used;
}

static void received(struct conn *c, const char *data, size_t n) {
    while (n && c->busy) {
        size_t used, size = 0;
        const char *piece;
        if (c->in_body) {
            used = body_piece(&c->body, data, n, &piece, &size);
            if (size) take(c, piece, size);
        } else used = read_start(c, data, n);
        data += used;
        n -= used;
        if (c->in_body && (c->body.done || c->body.bad)) ended(c, !c->body.bad);
    }
}

static void handle(struct conn *c, uint32_t events) {
    static char scratch[1 << 18];
    if (events & EPOLLOUT) push(c);
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
    ssize_t n = recv(c->fd, scratch, sizeof scratch, 0);
    if (n > 0) received(c, scratch, (size_t)n);
    else if (n == 0 || errno != EAGAIN) {
        c->close = true;
        if (c->busy) ended(c, n == 0 && c->in_body && c->until_end);
        else lose_line(c);  // it had nothing to say any more; the next request opens another
    }
}

static void print_times(const char *name, struct times *times) {
    if (times->n) qsort(times->all, times->n, sizeof *times->all, by_size);
    double micro[3] = {0};
    if (times->n) {
        micro[0] = (double)times->all[times->n / 2];
        micro[1] = (double)times->all[times->n * 99 / 100];
        micro[2] = (double)times->all[times->n - 1];
    }
    printf(",\"%s_us\":[%.1f,%.1f,%.1f]", name, micro[0] / 1000, micro[1] / 1000, micro[2] / 1000);
}

static void print_all(double seconds) {
    printf("{\"seconds\":%.6f,\"sent\":%lu,\"answered\":%lu,\"chunks\":%lu,\"not_2xx\":%lu,\"broken\":%lu,"
           "\"wrong\":%lu,\"unanswered\":%lu,\"connects\":%lu",
           seconds, sent, count.answered, count.stamps, count.not_2xx, count.broken, count.wrong, count.unanswered,
           count.connects);
    print_times("took", &took);
    print_times("first", &first);
    print_times("delay", &delay);
    printf(",\"first_failure\":\"%s\"}\n", first_failure);
}

static void read_request(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    fseek(file, 0, SEEK_END);
    request_size = (size_t)ftell(file);
    rewind(file);
    request = malloc(request_size);
    if (fread(request, 1, request_size, file) != request_size) die(path);
    fclose(file);
}

int main(int argc, char **argv) {
    if (argc < 6) {
        fprintf(stderr, "usage: load PORT FILE CONNECTIONS SECONDS CHUNKS [RATE [REQUESTS]]\n");
        return 2;
    }
    port = atoi(argv[1]);
    read_request(argv[2]);
    connections = atoi(argv[3]);
    chunks = atoi(argv[5]);
    double rate = argc > 6 ? atof(argv[6]) : 0;
    most = argc > 7 ? strtoull(argv[7], NULL, 10) : UINT64_MAX;
    gap = rate > 0 ? (uint64_t)(1e9 / rate) : 0;
    epoll_fd = epoll_create1(0);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct conn the_timer = {.fd = timer};
    watch(&the_timer, EPOLLIN, EPOLL_CTL_ADD);
    conns = calloc((size_t)connections, sizeof *conns);
    for (int i = 0; i < connections; i++) {
        conns[i].fd = -1;
        if (!gap) open_line(&conns[i]);  // with a rate, lines are opened as they are needed
    }
    began = now_ns();
    ends = began + (uint64_t)(atof(argv[4]) * 1e9);
    for (int i = connections; i--;) ask_next(&conns[i]);
    struct epoll_event events[256];
    for (uint64_t now = began; busy || !over(now);) {
        if (now > ends && now - ends > PATIENCE) break;
        uint64_t due = gap && idle && !over(now) ? began + sent * gap : now < ends ? ends : ends + PATIENCE;
        wake_at(timer, due);
        int n = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (c == &the_timer) (void)!read(timer, &(uint64_t){0}, 8);
            else handle(c, events[i].events);
        }
        now = now_ns();
        while (gap && idle && !over(now) && began + sent * gap <= now) {
            struct conn *c = idle;
            idle = c->next_idle;
            ask(c, began + sent * gap);
        }
    }
    for (int i = 0; i < connections; i++) {
        if (conns[i].busy) failed(&conns[i], &count.unanswered, "no answer");
    }
    print_all((double)((last_answer ? last_answer : now_ns()) - began) / 1e9);
    return 0;
}
