/** Replies that are made while they leave: gb_conn_produce_begin, and files, gb_conn_send_file_begin. */
#ifndef NET_PRODUCE_H
#define NET_PRODUCE_H

#include "net/sending.h"

struct gb_conn;

/** Some of its output may have left: whoever waited for that makes more. It has replies. */
void gb__producers_settle(struct gb_conn *conn);
/** Replies of it were dropped: their producers end. */
void gb__producers_cut(struct gb_conn *conn);

/** Both, where there are any. */
static inline void gb__feeds_settle(struct gb_conn *conn)
{
	gb__sendings_settle(conn);
	gb__producers_settle(conn);
}

#endif
