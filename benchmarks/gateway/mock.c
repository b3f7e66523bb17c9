// The host that gateways are measured against: it reads a chat, checks it, and answers at once or in pieces.
//
//   mock [PICTURE ...]      prints its port; ends with its standard input
//
// The text of a request says what is wanted, since a gateway passes nothing else on for certain:
//   [mock chunks=64 pause=10000 picture=0]   pieces of a stream, microseconds between two, picture that is to come (-1: none)
// What it says carries the time at which it was sent, so the other end knows that it is new and how long it took. A
// A request by another API than OpenAI's chat (Anthropic's messages, OpenAI's responses, Ollama's chat) gets a whole answer
// of that API, one that names a schema gets JSON, and one that has tools gets a call. A picture is held against the file of its base64, byte for byte. GET /stats tells what was seen since it was last asked.
#include "http.h"

#define EDGE 4096  // bytes kept of each end of a body: orders are in the first, `"stream": true` may be in either
#define MOST_HEAD 16384

struct conn {
    int fd;
    bool counted, in_body, looked, streaming, blocked, gone, usage;
    size_t head_n, first_n, last_n, out_n;
    struct body body;
    uint64_t seen, matched;  // bytes of the body, and of its picture where they are the file's
    int64_t picture_at;      // where in the body the picture begins; -1: nowhere
    int picture, chunk, chunks, door;
    uint64_t pause, due;
    struct conn *next;
    char head[MOST_HEAD], first[EDGE], last[EDGE], out[2048];
};

static struct {
    uint64_t connections, requests, streams, open, most_open, bad, pictures, pictures_changed;
} stats;
static struct {
    char *data;
    size_t size;
} pictures[8];
static int picture_count, epoll_fd;
static struct conn *active;  // those that have a stream to send

#define TIME "@0000000000000000000 "
#define CHUNK "data: {\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1764000000,\"model\":\"m\",\"choices\":["
#define USAGE ",\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":64,\"total_tokens\":164}}"
static const char FIRST[] = CHUNK "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"" TIME "\"},\"finish_reason\":null}]}\n\n";
static const char NEXT[] = CHUNK "{\"index\":0,\"delta\":{\"content\":\"" TIME "\"},\"finish_reason\":null}]}\n\n";
static const char LAST[] = CHUNK "{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
static const char USED[] = CHUNK "]" USAGE "\n\n";
static const char STREAM[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
static const char WHOLE[] = "{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion\",\"created\":1764000000,\"model\":\"m\",\"choices\":[{\"index\":0,"
    "\"message\":{\"role\":\"assistant\",\"content\":\"Hello there. " TIME "\"},\"finish_reason\":\"stop\"}]" USAGE;

// By API and by what is said: words, JSON, a call of a tool.
#define WORDS "Hello there. " TIME
#define JSON "{\\\"city\\\":\\\"Paris\\\",\\\"said\\\":\\\"" TIME "\\\",\\\"people\\\":2100000}"
#define OF_CHAT(message, why) "{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion\",\"created\":1764000000,\"model\":\"m\",\"choices\":[{\"index\":0," \
    "\"message\":{\"role\":\"assistant\"," message "},\"finish_reason\":\"" why "\"}]" USAGE
#define OF_MESSAGES(text) "{\"id\":\"msg_mock\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[{\"type\":\"text\",\"text\":\"" text "\"}]," \
    "\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":100,\"output_tokens\":64}}"
#define OF_RESPONSES(text) "{\"id\":\"resp_mock\",\"object\":\"response\",\"created_at\":1764000000,\"status\":\"completed\",\"model\":\"m\",\"output\":[" \
    "{\"type\":\"message\",\"id\":\"msg_0123456789abcdef0123456789abcdef\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"" text "\",\"annotations\":[],\"logprobs\":[]}]}]," \
    "\"usage\":{\"input_tokens\":100,\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":64,\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":164}}"
#define OF_OLLAMA(text) "{\"model\":\"m\",\"created_at\":\"2026-11-30T00:00:00Z\",\"message\":{\"role\":\"assistant\",\"content\":\"" text "\"}," \
    "\"done\":true,\"done_reason\":\"stop\",\"total_duration\":1,\"prompt_eval_count\":100,\"eval_count\":64}"
enum { CHAT, MESSAGES, RESPONSES, OLLAMA };
static const char *const ANSWERS[4][3] = {
    {WHOLE, OF_CHAT("\"content\":\"" JSON "\"", "stop"),
     OF_CHAT("\"content\":null,\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"weather\",\"arguments\":\"{\\\"at\\\":\\\"" TIME "\\\"}\"}}]", "tool_calls")},
    {OF_MESSAGES(WORDS), OF_MESSAGES(JSON), OF_MESSAGES(WORDS)},
    {OF_RESPONSES(WORDS), OF_RESPONSES(JSON), OF_RESPONSES(WORDS)},
    {OF_OLLAMA(WORDS), OF_OLLAMA(JSON), OF_OLLAMA(WORDS)},
};

static void stamp(char *text) {
    char *at = strchr(text, '@') + STAMP;
    uint64_t t = now_ns();
    for (int i = 0; i < STAMP; i++, t /= 10) *at-- = (char)('0' + t % 10);
}

static void watch(struct conn *c, uint32_t events, int how) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll_fd, how, c->fd, &event)) die("epoll_ctl");
}

// What the socket does not take waits in `out`, and with it the stream: one piece at most.
static void say(struct conn *c, const char *data, size_t n) {
    ssize_t sent = send(c->fd, data, n, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) c->gone = true;
    if (sent < 0) sent = 0;
    bool full = (size_t)sent < n && !c->gone;
    if (full) memmove(c->out, data + sent, c->out_n = n - (size_t)sent);
    if (full != c->blocked) watch(c, full ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
    c->blocked = full;
}

static void reply(struct conn *c, const char *status, const char *body) {
    char text[2048];
    int n = sprintf(text, "HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s", status, strlen(body), body);
    if (strchr(text, '@')) stamp(text);
    say(c, text, (size_t)n);
}

static void say_chunk(struct conn *c) {
    char text[2048];
    const char *piece = c->chunk ? NEXT : FIRST;
    int n = sprintf(text, "%zx\r\n%s\r\n", strlen(piece), piece);
    stamp(text);
    c->due += c->pause;
    if (++c->chunk == c->chunks) {  // the end comes with the last piece
        const char *used = c->usage ? USED : "";
        n += sprintf(text + n, "%zx\r\n%s%sdata: [DONE]\n\n\r\n0\r\n\r\n", strlen(LAST) + strlen(used) + 14, LAST, used);
        c->streaming = false;
        stats.open--;
    }
    say(c, text, (size_t)n);
}

// Counts the bytes of the body that are the picture's own.
static void compare(struct conn *c, uint64_t offset, const char *data, size_t n) {
    if (c->picture_at < 0) return;
    uint64_t begin = (uint64_t)c->picture_at, end = begin + pictures[c->picture].size;
    uint64_t from = offset > begin ? offset : begin, to = offset + n < end ? offset + n : end;
    if (from < to && !memcmp(data + (from - offset), pictures[c->picture].data + (from - begin), to - from)) c->matched += to - from;
}

// Where the picture begins, and which it is, as soon as the first bytes are there.
static void look(struct conn *c) {
    char *mark = memmem(c->first, c->first_n, ";base64,", 8);
    size_t most = 0;
    c->looked = true;
    for (int i = 0; mark && i < picture_count; i++) {
        char *at = mark + 8;
        size_t same = 0, room = c->first_n - (size_t)(at - c->first);
        while (same < room && same < pictures[i].size && at[same] == pictures[i].data[same]) same++;
        if (same > most) most = same, c->picture = i, c->picture_at = at - c->first;
    }
    compare(c, 0, c->first, c->first_n);
}

// What the text orders. Some gateways put the text behind the picture.
static bool order(struct conn *c, const char *from, size_t n) {
    long pause = 0;
    int picture = -1;
    char text[80], *at = memmem(from, n, "[mock ", 6);
    if (!at) return false;
    size_t size = n - (size_t)(at - from);
    snprintf(text, sizeof text, "%.*s", (int)(size < 79 ? size : 79), at);
    if (sscanf(text, "[mock chunks=%d pause=%ld picture=%d]", &c->chunks, &pause, &picture) != 3 || c->chunks < 1) return false;
    if (picture >= 0) *(picture == c->picture && c->matched == pictures[picture].size ? &stats.pictures : &stats.pictures_changed) += 1;
    c->pause = 1000 * (uint64_t)pause;
    return true;
}

static void take(struct conn *c, const char *data, size_t n) {
    uint64_t offset = c->seen;
    c->seen += n;
    size_t room = EDGE - c->first_n, head = n < room ? n : room, tail = n < EDGE ? n : EDGE;
    memcpy(c->first + c->first_n, data, head);
    c->first_n += head;
    size_t keep = c->last_n + tail > EDGE ? EDGE - tail : c->last_n;
    memmove(c->last, c->last + c->last_n - keep, keep);
    memcpy(c->last + keep, data + n - tail, tail);
    c->last_n = keep + tail;
    if (!c->looked && c->first_n == EDGE) look(c);
    if (c->looked) compare(c, offset + head, data + head, n - head);
}

static bool says(const char *from, size_t n, const char *name) {  // `"name": true`
    const char *at = from, *end = from + n;
    while ((at = memmem(at, (size_t)(end - at), name, strlen(name)))) {
        for (at += strlen(name); at < end && (*at == ' ' || *at == ':');) at++;
        if (end - at >= 4 && !memcmp(at, "true", 4)) return true;
    }
    return false;
}

static void answer(struct conn *c) {
    if (c->streaming) {  // asked again before it was answered: no client does
        c->gone = true;
        return;
    }
    if (!c->looked) look(c);
    stats.connections += !c->counted;
    c->counted = true;
    stats.requests++;
    if (!order(c, c->first, c->first_n) && !order(c, c->last, c->last_n)) {
        stats.bad++;
        reply(c, "400 Bad Request", "{\"error\":{\"message\":\"mock: the text that says what is wanted did not come\",\"type\":\"invalid_request_error\"}}");
        return;
    }
    if (!says(c->first, c->first_n, "\"stream\"") && !says(c->last, c->last_n, "\"stream\"")) {
        bool schema = memmem(c->first, c->first_n, "chema", 5) || memmem(c->last, c->last_n, "chema", 5) ||
                      memmem(c->first, c->first_n, "\"format\"", 8) || memmem(c->last, c->last_n, "\"format\"", 8);
        bool tools = memmem(c->first, c->first_n, "\"tools\"", 7) || memmem(c->last, c->last_n, "\"tools\"", 7);
        reply(c, "200 OK", ANSWERS[c->door][schema ? 1 : tools ? 2 : 0]);
        return;
    }
    c->usage = says(c->first, c->first_n, "\"include_usage\"") || says(c->last, c->last_n, "\"include_usage\"");
    stats.streams++;
    if (++stats.open > stats.most_open) stats.most_open = stats.open;
    c->streaming = true;
    c->chunk = 0;
    c->due = now_ns();
    c->next = active;
    active = c;
    say(c, STREAM, sizeof STREAM - 1);
}

static void tell_stats(struct conn *c) {
    char text[512];
    sprintf(text,
            "{\"connections\":%lu,\"requests\":%lu,\"streams\":%lu,\"open\":%lu,\"most_open\":%lu,\"bad\":%lu,\"pictures\":%lu,\"pictures_changed\":%lu}",
            stats.connections, stats.requests, stats.streams, stats.open, stats.most_open, stats.bad, stats.pictures, stats.pictures_changed);
    uint64_t open = stats.open;
    memset(&stats, 0, sizeof stats);
    stats.open = stats.most_open = open;
    reply(c, "200 OK", text);
}

static void begin(struct conn *c, const char *head, size_t n) {
    c->body = body_of(read_head(head, n));
    c->in_body = true;
    c->looked = false;
    c->seen = c->matched = c->first_n = c->last_n = 0;
    c->picture_at = c->picture = -1;
    c->door = memmem(head, n, "/messages ", 10) ? MESSAGES : memmem(head, n, "/responses ", 11) ? RESPONSES : memmem(head, n, "/api/chat ", 10) ? OLLAMA : CHAT;
    if (!memcmp(head, "GET /stats", 10)) {
        c->in_body = false;
        tell_stats(c);
    } else if (memcmp(head, "POST ", 5)) {
        c->in_body = false;
        reply(c, "404 Not Found", "{\"error\":{\"message\":\"mock: only chats\"}}");
    }
}

static void received(struct conn *c, const char *data, size_t n) {
    while (n && !c->gone) {
        size_t used;
        if (c->in_body) {
            const char *piece;
            size_t size;
            used = body_piece(&c->body, data, n, &piece, &size);
            if (size) take(c, piece, size);
            c->gone |= c->body.bad;
        } else {
            const char *end = c->head_n ? NULL : memmem(data, n, "\r\n\r\n", 4);
            if (end) {
                used = (size_t)(end - data) + 4;
                begin(c, data, used);
            } else {  // a head in pieces
                c->head[c->head_n++] = *data;
                used = 1;
                if (c->head_n >= 4 && !memcmp(c->head + c->head_n - 4, "\r\n\r\n", 4)) {
                    begin(c, c->head, c->head_n);
                    c->head_n = 0;
                } else if (c->head_n == MOST_HEAD) c->gone = true;
            }
        }
        data += used;
        n -= used;
        if (c->in_body && c->body.done) {
            c->in_body = false;
            answer(c);
        }
    }
}

static void leave(struct conn *c) {
    stats.open -= c->streaming;
    close(c->fd);
    free(c);
}

static void handle(struct conn *c, uint32_t events) {
    static char scratch[1 << 18];
    if (events & EPOLLOUT) {
        char rest[sizeof c->out];
        memcpy(rest, c->out, c->out_n);
        say(c, rest, c->out_n);
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t n = recv(c->fd, scratch, sizeof scratch, 0);
        if (n > 0) received(c, scratch, (size_t)n);
        else if (n == 0 || errno != EAGAIN) c->gone = true;
    }
}

// One piece of every stream that is due. Returns when the next one is: 0 now, UINT64_MAX never.
static uint64_t say_what_is_due(void) {
    uint64_t now = now_ns(), next = UINT64_MAX;
    for (struct conn **at = &active, *c; (c = *at);) {
        if (c->streaming && !c->gone && !c->blocked && c->due <= now) say_chunk(c);
        if (c->gone || !c->streaming) {
            *at = c->next;
            if (c->gone) leave(c);
            continue;
        }
        if (!c->blocked && c->due < next) next = c->due;
        at = &c->next;
    }
    return next <= now ? 0 : next;
}

static int listening(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, 4096) || getsockname(fd, (struct sockaddr *)&address, &size)) die("listen");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void let_in(int door) {
    int fd, on = 1;
    while ((fd = accept4(door, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct conn *c = calloc(1, sizeof *c);
        c->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(c, EPOLLIN, EPOLL_CTL_ADD);
    }
}

static void read_picture(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || picture_count == 8) die(path);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    pictures[picture_count].data = malloc(size);
    pictures[picture_count].size = size;
    if (fread(pictures[picture_count++].data, 1, size, file) != size) die(path);
    fclose(file);
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) read_picture(argv[i]);
    epoll_fd = epoll_create1(0);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), door = listening();
    static struct conn the_door, the_timer, the_input;
    the_door.fd = door, the_timer.fd = timer;
    watch(&the_door, EPOLLIN, EPOLL_CTL_ADD);
    watch(&the_timer, EPOLLIN, EPOLL_CTL_ADD);
    watch(&the_input, EPOLLIN, EPOLL_CTL_ADD);
    struct epoll_event events[256];
    for (uint64_t next = UINT64_MAX;; next = say_what_is_due()) {
        if (next && next != UINT64_MAX) wake_at(timer, next);
        int n = epoll_wait(epoll_fd, events, 256, next ? -1 : 0);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (c == &the_input) return 0;
            if (c == &the_door) let_in(door);
            else if (c == &the_timer) (void)!read(timer, &(uint64_t){0}, 8);
            else {
                handle(c, events[i].events);
                if (c->gone && !c->streaming) leave(c);  // who has a stream is left where streams are gone through
            }
        }
    }
}
