/* The same firmware as a host process: bytes over stdin and stdout, or over a socket on
 * 127.0.0.1:$MH_PORT (0: a free port, printed on stderr). A reset starts the program anew and keeps
 * the connection, as a board's serial line outlives a reset. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <link.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "board_config.h"
#include "mh_port.h"

#define PAINT 0xA5u              /* as the boards' start-up code */
#define PAINTED_BYTES 65536u     /* of a stack of megabytes: more than any firmware uses */
#define IDLE_MS 100              /* mh_port_read may sleep so long */
#define WATCH_MS 100             /* within the 20 to 200 ms that mh_port.h asks for */
#define FD_LISTEN "MH_FD_LISTEN" /* what a restarted program inherits */
#define FD_CLIENT "MH_FD_CLIENT"

extern char __data_start[], _end[]; /* of the linker: from .data to the end of .bss */
extern const ElfW(Ehdr) __ehdr_start;
extern char **environ;

static int listener = -1;
static int in_fd = STDIN_FILENO;
static int out_fd = STDOUT_FILENO;
static volatile uint8_t *stack_top;

static void fail(const char *what)
{
    perror(what);
    _exit(1);
}

static int inherited(const char *name)
{
    const char *text = getenv(name);
    return text != NULL ? atoi(text) : -1;
}

static void serve(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t size = sizeof address;
    const int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0) {
        fail("socket");
    }
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 1) != 0) {
        fail("cannot listen on 127.0.0.1:$MH_PORT");
    }
    (void)getsockname(listener, (struct sockaddr *)&address, &size);
    fprintf(stderr, "listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
}

static void take_client(int fd)
{
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    in_fd = fd;
    out_fd = fd;
}

static void wait_for_client(void)
{
    const int fd = accept(listener, NULL, NULL);
    if (fd >= 0) {
        take_client(fd);
    }
}

static void drop_client(void)
{
    if (listener < 0) {
        exit(0); /* stdin ended: so does the board */
    }
    (void)close(in_fd);
    in_fd = -1;
    out_fd = -1;
}

static uint32_t fault_pc(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (uint32_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uint32_t)context->uc_mcontext.pc;
#else
    (void)context;
    return 0u;
#endif
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    const uint32_t code = number == SIGSEGV ? 1u : (number == SIGBUS ? 2u : 3u);
    mh_fault(code, fault_pc(context), (uint32_t)(uintptr_t)info->si_addr);
    mh_port_reset();
}

static void on_watch(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    mh_watch_tick(WATCH_MS, fault_pc(context));
}

void mh_port_watch(uint8_t on)
{
    struct itimerval every = {.it_value = {.tv_usec = on ? WATCH_MS * 1000 : 0}};
    every.it_interval = every.it_value;
    (void)setitimer(ITIMER_REAL, &every, NULL);
}

static void catch_faults(void)
{
    static uint8_t stack[65536]; /* the faulty stack may be full */
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigset_t set;
    action.sa_sigaction = on_fault;
    (void)sigaltstack(&alternate, NULL);
    (void)sigemptyset(&set);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        (void)sigaction(numbers[i], &action, NULL);
        (void)sigaddset(&set, numbers[i]);
    }
    action.sa_sigaction = on_watch;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    (void)sigaction(SIGALRM, &action, NULL);
    (void)sigaddset(&set, SIGALRM);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL); /* a restart from a handler inherits the block */
    (void)signal(SIGPIPE, SIG_IGN);
}

/* Fills what later calls will use of the stack; not inlined, so that it lies below main's frame. */
static __attribute__((noinline)) void paint_stack(void)
{
    uint8_t area[PAINTED_BYTES];
    volatile uint8_t *const bytes = area;
    for (uint32_t i = 0; i < PAINTED_BYTES; i++) {
        bytes[i] = PAINT;
    }
}

void mh_port_init(void)
{
    const char *port = getenv("MH_PORT");
    catch_faults();
    stack_top = __builtin_frame_address(0);
    paint_stack();
    listener = inherited(FD_LISTEN);
    if (listener >= 0) {
        take_client(inherited(FD_CLIENT));
    } else if (port != NULL) {
        serve(atoi(port));
        in_fd = -1;
        out_fd = -1;
    }
}

uint32_t mh_port_read(uint8_t *dst, uint32_t cap)
{
    struct pollfd wait = {.fd = in_fd >= 0 ? in_fd : listener, .events = POLLIN};
    if (poll(&wait, 1, IDLE_MS) <= 0) {
        return 0;
    }
    if (in_fd < 0) {
        wait_for_client();
        return 0;
    }
    const ssize_t n = read(in_fd, dst, cap);
    if (n <= 0) {
        drop_client();
        return 0;
    }
    return (uint32_t)n;
}

void mh_port_write(const uint8_t *src, uint32_t n)
{
    while (n > 0 && out_fd >= 0) { /* with no client the bytes are lost, as on a loose cable */
        const ssize_t sent = write(out_fd, src, n);
        if (sent <= 0) {
            drop_client();
            return;
        }
        src += sent;
        n -= (uint32_t)sent;
    }
}

uint32_t mh_port_ticks(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
}

/* Reads below the live stack, which is what a high-water mark is; not under a sanitizer. */
__attribute__((no_sanitize("address", "undefined"))) uint32_t mh_port_stack_used(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return 0u;
#else
    const volatile uint8_t *byte = stack_top - PAINTED_BYTES;
    while (byte < stack_top && *byte == PAINT) {
        byte++;
    }
    return (uint32_t)(stack_top - byte);
#endif
}

uint32_t mh_port_static_ram(void)
{
    return (uint32_t)(_end - __data_start);
}

uint32_t mh_port_clock_hz(void)
{
    return MH_CLOCK_HZ;
}

/* Addresses are those of the file; what the loader or the program changes is no part of it. */
uint8_t mh_port_image(uint32_t address, uint32_t bytes, const uint8_t **found)
{
    const uint8_t *const base = (const uint8_t *)&__ehdr_start;
    const ElfW(Phdr) *part = (const ElfW(Phdr) *)(const void *)(base + __ehdr_start.e_phoff);
    const uint64_t first = part->p_vaddr - part->p_offset; /* 0 where the place is chosen late */
    for (uint32_t i = 0; i < __ehdr_start.e_phnum; i++, part++) {
        const uint64_t from = address - part->p_vaddr;
        if (part->p_type == PT_LOAD && (part->p_flags & PF_W) == 0 && from <= part->p_filesz &&
            bytes <= part->p_filesz - from) {
            *found = base + (address - first);
            return 1;
        }
    }
    return 0;
}

void mh_port_reset(void)
{
    char *program[] = {"firmware", NULL};
    char text[16];
    mh_port_watch(0);
    (void)signal(SIGALRM, SIG_IGN); /* one that is on its way would end the new program */
    if (listener >= 0) {
        if (in_fd < 0) {
            wait_for_client(); /* firmware that cannot start needs somebody to tell it to */
        }
        (void)snprintf(text, sizeof text, "%d", listener);
        (void)setenv(FD_LISTEN, text, 1);
        (void)snprintf(text, sizeof text, "%d", in_fd);
        (void)setenv(FD_CLIENT, text, 1);
    }
    (void)execve("/proc/self/exe", program, environ);
    fail("cannot restart");
}
