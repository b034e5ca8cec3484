/*
 * loadgen: an echo client that costs little and checks every byte. Independent of the library, so that
 * what is measured does not measure itself.
 *
 * With --wait it prints `ready` when all connections stand and goes on at a line on stdin; it prints `done`
 * when all replies are in and ends at another line: between the two the runner reads the server's CPU clock.
 */
#include "load.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum { ERRORS_SHOWN = 5, SUBMISSIONS = 4096, COMPLETIONS = 32 * 1024, ADDRESSES = 250 };

static unsigned char pattern[PATTERN_PERIOD + PATTERN_STRETCH];
const unsigned char *const load_pattern = pattern;
uint32_t load_pattern_period = PATTERN_PERIOD;

static void pattern_init(const struct load_options *options)
{
	uint64_t state = 1;

	if (options->lines)
		load_pattern_period -= PATTERN_PERIOD % options->size;
	for (size_t i = 0; i < load_pattern_period; i++) {
		state = state * 6364136223846793005 + 1442695040888963407;
		pattern[i] = (unsigned char)(state >> 56);
		if (options->lines)
			pattern[i] = i % options->size == options->size - 1 ? '\n' : 'a' + pattern[i] % 26;
	}
	for (size_t i = load_pattern_period; i < sizeof pattern; i++)
		pattern[i] = pattern[i - load_pattern_period];
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

bool load_ask(struct load *load)
{
	if (load->options.messages ? load->asked >= load->options.messages : load->now >= load->deadline)
		return false;
	load->asked++;
	return true;
}

void load_answer(struct load *load, uint64_t asked_at)
{
	load->answered++;
	histogram_add(&load->latency, load->now - asked_at);
}

void load_error(struct load *load, const char *format, ...)
{
	va_list arguments;

	if (load->errors++ >= ERRORS_SHOWN)
		return;
	va_start(arguments, format);
	vwarnx(format, arguments);
	va_end(arguments);
}

struct io_uring_sqe *load_sqe(struct load *load, unsigned count)
{
	if (io_uring_sq_space_left(&load->ring) < count)
		io_uring_submit(&load->ring);
	if (io_uring_sq_space_left(&load->ring) < count)
		errx(1, "the submission queue stays full");
	return io_uring_get_sqe(&load->ring);
}

int load_socket(unsigned spread)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(1, "socket");
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + spread % ADDRESSES);
	/* The port is chosen when connecting: then it need be unique for this server only. */
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0 ||
		bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		err(1, "bind to 127.0.0.%u", 2 + spread % ADDRESSES);
	return fd;
}

static void create_ring(struct load *load)
{
	static const unsigned modes[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
		0,
	};
	int result = -EINVAL;

	for (size_t i = 0; result < 0 && i < sizeof modes / sizeof *modes; i++) {
		struct io_uring_params params = {
			.flags = modes[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
			.cq_entries = COMPLETIONS,
		};

		result = io_uring_queue_init_params(SUBMISSIONS, &load->ring, &params);
	}
	if (result < 0)
		errx(1, "io_uring: %s", strerror(-result));
	io_uring_register_ring_fd(&load->ring);
}

/* Until something completes or, in an open loop, the next message is due. */
static void wait_for_completions(struct load *load)
{
	struct __kernel_timespec patience = { .tv_sec = STALL_SECONDS };
	bool due = false;
	struct io_uring_cqe *cqe;
	int result;

	if (load->schedule && load->due < load->options.messages) {
		uint64_t now = clock_ns(CLOCK_MONOTONIC), at = load->started + load->schedule[load->due];

		due = at <= now;
		if (!due && at - now < STALL_SECONDS * UINT64_C(1000000000)) {
			patience.tv_sec = (long long)((at - now) / 1000000000);
			patience.tv_nsec = (long long)((at - now) % 1000000000);
		}
	}
	if (load->options.spin || due)
		result = io_uring_submit_and_get_events(&load->ring);
	else
		result = io_uring_submit_and_wait_timeout(&load->ring, &cqe, 1, &patience, NULL);
	if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY && result != -ETIME)
		errx(1, "io_uring: %s", strerror(-result));
}

static void run(struct load *load)
{
	uint64_t progress;

	load->started = load->now = progress = clock_ns(CLOCK_MONOTONIC);
	load->deadline = load->started + (uint64_t)(load->options.seconds * 1e9);
	if (load->options.once)
		once_start(load);
	else
		steady_start(load);
	while (load->answered + load->lost < load->asked) {
		struct io_uring_cqe *cqe;
		unsigned head, count = 0;

		wait_for_completions(load);
		load->now = clock_ns(CLOCK_MONOTONIC);
		io_uring_for_each_cqe(&load->ring, head, cqe)
		{
			if (load->options.once)
				once_on_completion(load, cqe);
			else
				steady_on_completion(load, cqe);
			count++;
		}
		io_uring_cq_advance(&load->ring, count);
		if (load->schedule && steady_send_due(load))
			count++;
		if (count)
			progress = load->now;
		else if (load->now - progress >= STALL_SECONDS * UINT64_C(1000000000))
			errx(1, "%llu messages are not answered",
				(unsigned long long)(load->asked - load->answered - load->lost));
	}
	io_uring_submit(&load->ring); /* the last closings */
	load->finished = clock_ns(CLOCK_MONOTONIC);
}

static void rendezvous(const struct load *load, const char *word)
{
	int character;

	if (!load->options.wait)
		return;
	puts(word);
	fflush(stdout);
	do
		character = getchar();
	while (character != '\n' && character != EOF);
}

static void print_summary(const struct load *load, uint64_t cpu_ns)
{
	double seconds = (double)(load->finished - load->started) / 1e9;

	printf("{\"messages\": %llu, \"errors\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f, "
	       "\"connections\": %u, \"idle\": %u, \"size\": %u, \"depth\": %u, \"rate\": %.0f, "
	       "\"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"late_p99_us\": %.1f}\n",
		(unsigned long long)load->answered, (unsigned long long)load->errors, seconds,
		(double)cpu_ns / 1e9, load->options.connections, load->options.idle, load->options.size,
		load->options.depth, load->options.rate, histogram_us(&load->latency, 0.5),
		histogram_us(&load->latency, 0.99), histogram_us(&load->latency, 0.999),
		histogram_us(&load->lateness, 0.99));
}

static const char usage[] =
	"usage: loadgen [OPTION]… PORT\n"
	"  --connections N  at the same time (50)\n"
	"  --size N         bytes of a message (64)\n"
	"  --depth N        messages in flight on a connection (1)\n"
	"  --seconds S      how long (1), or\n"
	"  --messages N     how many\n"
	"  --rate N         messages a second over all connections, sent when due (Poisson), not when replies\n"
	"                   make room; latency counts from when a message was due\n"
	"  --lines          each message is a line\n"
	"  --once           connect, one echo, close, again\n"
	"  --idle N         connections that echo once before and once after (0)\n"
	"  --spin           never sleep\n"
	"  --wait           print `ready` and `done`, each time wait for a line on stdin\n";

static double number(const char *option, const char *text, double min, double max)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= min && value <= max)) {
		fprintf(stderr, "loadgen: %s %s: must be from %.10g to %.10g\n", option, text, min, max);
		exit(2);
	}
	return value;
}

static void parse_arguments(struct load_options *options, int argc, char **argv)
{
	static const struct option names[] = {
		{ "connections", required_argument, NULL, 'c' },
		{ "size", required_argument, NULL, 's' },
		{ "depth", required_argument, NULL, 'd' },
		{ "seconds", required_argument, NULL, 't' },
		{ "messages", required_argument, NULL, 'm' },
		{ "rate", required_argument, NULL, 'r' },
		{ "lines", no_argument, NULL, 'l' },
		{ "once", no_argument, NULL, 'o' },
		{ "idle", required_argument, NULL, 'i' },
		{ "spin", no_argument, NULL, 'p' },
		{ "wait", no_argument, NULL, 'w' },
		{ NULL, 0, NULL, 0 },
	};
	int option, index = 0;

	while ((option = getopt_long(argc, argv, "", names, &index)) != -1) {
		const char *name = option == '?' ? "" : names[index].name;

		switch (option) {
		case 'c':
			options->connections = (unsigned)number(name, optarg, 1, 1000000);
			break;
		case 's':
			options->size = (uint32_t)number(name, optarg, 1, 64 * 1024 * 1024);
			break;
		case 'd':
			options->depth = (unsigned)number(name, optarg, 1, 4096);
			break;
		case 't':
			options->seconds = number(name, optarg, 0.001, 3600);
			break;
		case 'm':
			options->messages = (uint64_t)number(name, optarg, 1, 1e15);
			break;
		case 'r':
			options->rate = number(name, optarg, 0.1, 1e7);
			break;
		case 'l':
			options->lines = true;
			break;
		case 'o':
			options->once = true;
			break;
		case 'i':
			options->idle = (unsigned)number(name, optarg, 0, 1000000);
			break;
		case 'p':
			options->spin = true;
			break;
		case 'w':
			options->wait = true;
			break;
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind != argc - 1) {
		fputs(usage, stderr);
		exit(2);
	}
	options->server.sin_port = htons((in_port_t)number("PORT", argv[optind], 1, 65535));
	if (options->once && (options->idle || options->size > 16 * 1024)) {
		/* The message is sent whole before the reply is read: both must fit into socket buffers. */
		fputs("loadgen: --once takes no --idle, and a --size of up to 16384\n", stderr);
		exit(2);
	}
	if (options->rate > 0 && (options->once || options->depth > 1)) {
		fputs("loadgen: --rate takes neither --once nor --depth\n", stderr);
		exit(2);
	}
	if (options->lines && (options->size < 2 || options->size > LINE_SIZE_MAX)) {
		fprintf(stderr, "loadgen: --lines takes a --size from 2 to %d\n", LINE_SIZE_MAX);
		exit(2);
	}
}

static void raise_fd_limit(unsigned connections)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		err(1, "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		err(1, "setrlimit");
	if (connections + 16 > limit.rlim_max)
		errx(1, "%u connections: only %llu descriptors are allowed (ulimit -Hn)", connections,
			(unsigned long long)limit.rlim_max);
}

int main(int argc, char **argv)
{
	static struct load load = {
		.options = {
			.server = { .sin_family = AF_INET },
			.connections = 50,
			.size = 64,
			.depth = 1,
			.seconds = 1,
		},
	};
	uint64_t cpu;

	parse_arguments(&load.options, argc, argv);
	load.options.server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	raise_fd_limit(load.options.connections + load.options.idle);
	pattern_init(&load.options);
	if (load.options.rate > 0) {
		schedule_create(&load);
		prctl(PR_SET_TIMERSLACK, 1UL); /* sleep no longer than asked for */
	}
	create_ring(&load);
	if (load.options.once)
		once_prepare(&load);
	else
		steady_prepare(&load);

	rendezvous(&load, "ready");
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	run(&load);
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	rendezvous(&load, "done");

	if (!load.options.once)
		steady_check_idle(&load);
	print_summary(&load, cpu);
	return load.errors ? 1 : 0;
}
