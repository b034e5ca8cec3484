#include "os/orphan.h"

#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

bool gb__orphans_come(void)
{
	int adopts = 0;

	return getpid() == 1 || (prctl(PR_GET_CHILD_SUBREAPER, &adopts) == 0 && adopts);
}

static bool has_ended(pid_t pid)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

static bool was_seen(const struct gb__orphans *orphans, size_t count, pid_t pid)
{
	for (size_t i = 0; i < count; i++)
		if (orphans->seen[i] == pid)
			return true;
	return false;
}

static void note(struct gb__orphans *orphans, pid_t pid)
{
	if (orphans->count == orphans->size) {
		size_t size = orphans->size ? 2 * orphans->size : 16;
		pid_t *grown = gb__realloc(orphans->seen, size * sizeof(*grown));

		if (!grown)
			return; /* it is seen at a later look */
		orphans->seen = grown;
		orphans->size = size;
	}
	orphans->seen[orphans->count++] = pid;
}

/* The list of the kernel, where /proc is there and its numbers are ours. */
static FILE *open_children(void)
{
	char own[16], path[64];
	ssize_t size = readlink("/proc/self", own, sizeof(own) - 1);

	if (size < 0)
		return NULL;
	own[size] = '\0';
	if (atoi(own) != getpid())
		return NULL;
	snprintf(path, sizeof(path), "/proc/self/task/%s/children", own);
	return fopen(path, "re");
}

struct look {
	struct gb__orphans *orphans;
	size_t before; /* of those seen at the last look */
	bool (*waited_for)(pid_t pid, const void *arg);
	const void *arg;
};

static void look_at(const struct look *look, pid_t pid)
{
	struct gb__orphans *orphans = look->orphans;

	if (look->waited_for(pid, look->arg))
		return;
	if (!was_seen(orphans, look->before, pid))
		note(orphans, pid);
	else
		waitpid(pid, NULL, WNOHANG);
}

/* Of those that have ended the kernel tells one alone: behind one that was seen already, the next. */
static void look_without_list(const struct look *look)
{
	siginfo_t info;
	bool seen;

	do {
		info = (siginfo_t){ 0 };
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WNOTHREAD) < 0 || !info.si_pid)
			return;
		seen = was_seen(look->orphans, look->before, info.si_pid);
		look_at(look, info.si_pid);
	} while (seen);
}

bool gb__orphans_reap(
	struct gb__orphans *orphans, bool (*waited_for)(pid_t pid, const void *arg), const void *arg)
{
	const size_t before = orphans->count;
	const struct look look = { orphans, before, waited_for, arg };
	FILE *file = open_children();
	int pid;

	if (file) {
		while (fscanf(file, "%d", &pid) == 1)
			if (has_ended(pid))
				look_at(&look, pid);
		fclose(file);
	} else {
		look_without_list(&look);
	}
	/* Those of the last look are done with, or somebody else has waited for them. */
	orphans->count -= before;
	for (size_t i = 0; i < orphans->count; i++)
		orphans->seen[i] = orphans->seen[before + i];
	return orphans->count > 0;
}

void gb__orphans_finish(struct gb__orphans *orphans)
{
	gb__free(orphans->seen);
	*orphans = (struct gb__orphans){ 0 };
}
