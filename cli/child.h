/** Child processes of a command: each leads a group of its own and dies with the command. */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <stdint.h>
#include <sys/types.h>

/** As fork(2). The child leads a group, and is killed when this process ends. Returns a negative errno. */
pid_t gb__child_fork(void);

/** Two pipes, as pipe2(2), that do not outlive an exec. Returns 0, or a negative errno and neither. */
int gb__child_pipes(int first[2], int second[2]);

/** Kill it with all of its group. */
void gb__child_kill(pid_t pid);

/** Wait for its end. Returns its status, as waitpid(2) has it. */
int gb__child_wait(pid_t pid);

#endif
