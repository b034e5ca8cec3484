/** Files that are being sent on connections: gb_conn_send_file_begin. */
#ifndef NET_SENDING_H
#define NET_SENDING_H

struct gb_conn;

/** Some of its output may have left: whoever waited for that reads on. It has replies. */
void gb__sendings_settle(struct gb_conn *conn);
/** Its replies are no more. */
void gb__sendings_cut(struct gb_conn *conn);

#endif
