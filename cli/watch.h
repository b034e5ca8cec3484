/** `serve OBJECT --watch`, for those who develop: the object is served anew whenever it changes. */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

/** The flag is among the arguments; it is taken out of them. */
int gb__watch_wanted(int *argc, char **argv);

/**
 * Serve the object at `path` with the command line of `serve` until a signal ends it. This process only watches: each
 * version is loaded, from a copy of its own, by a child that serves it. Returns the exit code.
 */
int gb__watch_serve(int argc, char **argv, const char *path);

#endif
