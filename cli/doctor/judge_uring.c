/* Why io_uring is refused, and which of its features are missing. */
#include "doctor/diagnosis.h"
#include "doctor/format.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define GROUP "io_uring"
#define KERNEL_FIRST "Linux 5.11 or newer is needed"

static const struct {
	unsigned bit;
	const char *key, *label;
	const char *without; /* what its lack means */
} features[] = {
	{ URING_SINGLE_ISSUER, "io_uring.single-issuer", "single issuer",
		"rings lock more; since Linux 6.0" },
	{ URING_DEFER_TASKRUN, "io_uring.defer-taskrun", "deferred task run",
		"completions interrupt the worker; since Linux 6.1" },
	{ URING_MULTISHOT_ACCEPT, "io_uring.multishot-accept", "multishot accept",
		"one operation for each accept; since Linux 5.19" },
	{ URING_PROVIDED_BUFFERS, "io_uring.buffer-rings", "provided buffer rings",
		"idle connections hold a buffer each; since Linux 5.19" },
	{ URING_MULTISHOT_RECV, "io_uring.multishot-recv", "multishot receive",
		"one operation for each receive; since Linux 6.0" },
	{ URING_SEND_ZEROCOPY, "io_uring.send-zerocopy", "zero-copy send",
		"large sends copy; since Linux 6.0" },
	{ URING_MSG_RING, "io_uring.msg-ring", "messages to rings", "an eventfd wakes; since Linux 6.16" },
};

/* What a refusal means. Sets the note and, where a setting helps, adds the change. */
static void explain(const struct facts *facts, const struct gb__uring_probe *uring, struct finding *finding,
	struct diagnosis *diagnosis)
{
	static const char why[] = "io_uring is refused; without it engine=auto takes epoll";
	const char *change = NULL;
	bool filtered = facts->seccomp == 2;

	if (uring->signal_number == SIGSYS) {
		gb__finding_judge(finding, VERDICT_CANNOT, "a seccomp filter kills whoever asks for it");
		change = "SystemCallFilter=io_uring_setup io_uring_enter io_uring_register, in the unit";
	} else if (uring->code == -EINTR) {
		gb__finding_judge(
			finding, VERDICT_CANNOT, "the attempt was ended by signal %d", uring->signal_number);
	} else if (facts->uring_disabled == 2 || (facts->uring_disabled == 1 && uring->code == -EPERM)) {
		gb__finding_judge(finding, VERDICT_CANNOT,
			facts->uring_disabled == 2 ? "switched off for everybody (kernel.io_uring_disabled=2)"
						   : "kept to privileged processes and one group "
						     "(kernel.io_uring_disabled=1, kernel.io_uring_group)");
		change = "sysctl -w kernel.io_uring_disabled=0";
	} else if (uring->code == -ENOSYS && !filtered && facts->uring_disabled == FACT_UNKNOWN) {
		gb__finding_judge(finding, VERDICT_CANNOT,
			"not in this kernel: " KERNEL_FIRST ", with CONFIG_IO_URING");
	} else if (uring->code == -ENOSYS || uring->code == -EPERM || uring->code == -EACCES) {
		gb__finding_judge(finding, VERDICT_CANNOT, "%s hides it: %s",
			filtered ? "a seccomp filter" : "a security policy", strerror(-uring->code));
		change =
			"allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp profile";
	} else if (uring->code == -EINVAL || uring->code == -EOPNOTSUPP) {
		gb__finding_judge(finding, VERDICT_CANNOT, "too old: " KERNEL_FIRST);
	} else if (uring->code == -ENOMEM) {
		gb__finding_judge(
			finding, VERDICT_CANNOT, "no memory that may be locked, or none in the cgroup");
		change = "ulimit -l unlimited";
	} else {
		gb__finding_judge(finding, VERDICT_CANNOT, "%s", strerror(-uring->code));
	}
	if (change)
		gb__change_text(
			gb__diagnosis_change(diagnosis, 0, finding, "engine=io_uring", why), "%s", change);
}

static void judge_features(unsigned have, struct diagnosis *diagnosis)
{
	for (size_t i = 0; i < sizeof(features) / sizeof(*features); i++) {
		bool works = have & features[i].bit;
		struct finding *finding = gb__diagnosis_add(diagnosis, GROUP, features[i].key,
			features[i].label, "%s", works ? "works" : "missing");

		if (!works)
			gb__finding_judge(finding, VERDICT_CANNOT, "%s", features[i].without);
		else if (features[i].bit == URING_MULTISHOT_RECV && !(have & URING_MULTISHOT_END))
			gb__finding_judge(finding, VERDICT_LIMITS,
				"loses the end of a stream that comes with the last bytes, so it is not used");
	}
}

void gb__judge_uring(
	const struct facts *facts, const struct gb__uring_probe *uring, struct diagnosis *diagnosis)
{
	char text[FORMAT_MAX];
	struct finding *finding = gb__diagnosis_add(
		diagnosis, GROUP, "io_uring", "rings", "%s", uring->code == 0 ? "work" : "refused");

	if (uring->code < 0)
		explain(facts, uring, finding, diagnosis);
	gb__diagnosis_add(diagnosis, GROUP, "kernel.io_uring_disabled", "kernel.io_uring_disabled", "%s",
		facts->uring_disabled == FACT_UNKNOWN ? "not there"
						      : gb__format_count(facts->uring_disabled, text));
	finding = gb__diagnosis_add(diagnosis, GROUP, "memlock", "locked memory (ulimit -l)", "%s",
		gb__format_bytes(facts->memlock_bytes, text));
	if (facts->memlock_bytes < FACT_UNLIMITED && facts->privileged != 1)
		gb__finding_judge(finding, VERDICT_OK,
			"bounds the rings of a user at once (about 180 KiB each on newer kernels) and zero-copy sends");
	if (uring->code == 0)
		judge_features(uring->features, diagnosis);
}
