/** Codecs: how a stream of bytes falls into messages. No I/O happens here. */
#ifndef GEARBOX_CODEC_H
#define GEARBOX_CODEC_H

#include <gearbox/types.h>

GB_BEGIN

/** Where a message lies in the bytes that were given to `decode`. */
struct gb_frame {
	size_t consumed; /* bytes to drop from the front, terminator and header included */
	size_t offset;   /* of the message in the input */
	size_t size;     /* of the message; may be 0 */
	/* What the codec has parsed of it, for the handler (gb_conn_frame), so that nothing is parsed twice. The codecs of
	 * the library leave both as they are. */
	uint64_t key;       /* a number: a type, a command, an id */
	const void *parsed; /* in the codec's `state`, or in the message */
	/* Why it refused the input, for the log and on_error: a text in static storage or in `state`. Set with a negative
	 * result alone; NULL: the result says it all. */
	const char *problem;
};

/** The `total` of a message whose size is not known before its end. */
#define GB_TOTAL_UNKNOWN UINT64_MAX

/** A part of a message that is larger than max-message: what a handler gets of it (on_part, gb_read_part). */
struct gb_part {
	struct gb_bytes bytes; /* in the last part perhaps none */
	uint64_t offset;       /* of them in the message: so many came before */
	uint64_t
		total; /* bytes of the message; GB_TOTAL_UNKNOWN before its last part, where only its end tells */
	bool first, last; /* both: the message fits, and is whole */
};

/** Bytes that a first part has at least, unless the message or max-message is smaller: so a head is there in one piece. */
#define GB_PART_HEAD 4096u

/** How far a message has come that is taken in parts. Zeroed at its beginning. */
struct gb_progress {
	uint64_t passed; /* bytes of the message in earlier parts: the caller's */
	bool begun;      /* there was an earlier part: the caller's */
	bool last;       /* the codec's: this part ends the message */
	uint64_t
		total; /* the codec's, with the first part: bytes of the message in all, or GB_TOTAL_UNKNOWN */
};

/**
 * A codec. It finds one message at the front of `data` and never copies.
 *
 * `decode` is called with everything that is buffered of a connection, from the first byte that no
 * message has consumed. `state` is `state_size` zeroed bytes per connection. `scanned` starts at 0
 * for each message, is kept by the caller between calls for the same message, and lets a codec
 * resume its search where it ended (at most SIZE of input).
 *
 * Returns 1 with `*ret` set, 0 when the message is incomplete, -GB_ETOOLARGE when it is or must become
 * larger than `max_message` (decided before the bytes arrive, where the format tells), -GB_EBADFRAME.
 *
 * `decode_part`, for messages that are taken in parts (on_part of a service, gb_read_part): is called in place of `decode`
 * from a message's first part to its last, either from its beginning or once `decode` said -GB_ETOOLARGE. `input` is what
 * is buffered from the first byte that no part has consumed. Finds as much of the message as is there, at most `max_part`
 * bytes (what ends it not counted), and what belongs to no part is consumed with one: a header with the first, an end with
 * the last, which alone may be of 0 bytes. The pieces together are what `decode` would have found. `*progress` comes back as
 * said there; as long as nothing was taken it may be called again for the same part, with more. Returns 1 with `*ret` and
 * `*progress` set, 0 when not a byte of the message is there or can be told from its end yet, or a negative code as
 * `decode` does. NULL: messages come whole alone. All codecs of the library but gb_codec_packet have it.
 */
struct gb_codec_ops {
	const char *name;
	size_t state_size; /* bytes of per-connection state, zeroed */
	int (*decode)(const void *options, void *state, struct gb_bytes input, size_t max_message,
		uint32_t *scanned, struct gb_frame *ret);
	int (*decode_part)(const void *options, void *state, struct gb_bytes input, size_t max_part,
		struct gb_progress *progress, struct gb_frame *ret);
};

/** Options of the line codec. */
struct gb_line_options {
	int keep_end; /* pass the LF or CRLF on as part of the message */
};

/**
 * Lines that end with LF or CRLF. The message excludes the end unless `keep_end` is set; the end does
 * not count towards the maximum. A NULL for the options means all zero.
 */
GB_API extern const struct gb_codec_ops gb_codec_line;

/** Options of the length codec. The message is what lies behind the length, unless told otherwise. */
struct gb_length_options {
	unsigned width;    /* bytes of the length: 1 to 8; 0 means 4 */
	int little_endian; /* the lowest byte comes first; else the highest, as networks have it */
	int counts_itself; /* the length includes its own bytes, but not what is before it */
	int keep_header;   /* pass everything on from the first byte as part of the message */
	unsigned offset;   /* bytes before the length, at most 4,096 */
	int64_t adjustment; /* to be added to the length for the bytes behind it: -offset-width if it counts all, the size of
			       what lies between it and the body if it counts the body alone */
	unsigned
		strip; /* bytes of the front to drop from the message; 0: all up to the end of the length (keep_header: none) */
};

/**
 * Messages with their length in a header, an unsigned number. What lies up to the end of the length does not count
 * towards the maximum, and a message above that is refused when the length is there. -GB_EBADFRAME: a length that counts
 * itself and is smaller than that, or an adjustment that makes it negative, or a message shorter than what is to be
 * dropped. A NULL for the options means all zero. (Netty's LengthFieldBasedFrameDecoder: lengthFieldOffset is `offset`,
 * lengthFieldLength `width`, lengthAdjustment `adjustment`, initialBytesToStrip `strip`, 0 of it `keep_header`.)
 */
GB_API extern const struct gb_codec_ops gb_codec_length;

/** Options of the delimiter codec. */
struct gb_delimiter_options {
	const void *bytes; /* that end a message */
	size_t size;       /* of them, at least 1 */
	int keep_end;      /* pass them on as part of the message */
};

/** Messages that end with given bytes, which do not count towards the maximum. The options must be given. */
GB_API extern const struct gb_codec_ops gb_codec_delimiter;

/** Options of the fixed codec. */
struct gb_fixed_options {
	size_t size; /* of each message, at least 1 */
};

/** Messages of one size. -GB_ETOOLARGE: that is above the maximum. The options must be given. */
GB_API extern const struct gb_codec_ops gb_codec_fixed;

/** Options of the varint codec. */
struct gb_varint_options {
	int keep_header; /* pass the length on as part of the message */
};

/**
 * Messages behind their length as a variable-length integer of up to 64 bits (LEB128), as Protocol Buffers' delimited
 * messages have it. The length does not count towards the maximum. -GB_EBADFRAME: a length of more than 64 bits. A NULL
 * for the options means all zero.
 */
GB_API extern const struct gb_codec_ops gb_codec_varint;

/** Bytes of the largest packet that is received or sent. */
#define GB_PACKET_MAX 65536u

/**
 * Packets, as a socket of type SOCK_SEQPACKET has them ("unix-seqpacket:/path", docs/listening.md): each is a message, and
 * each call that sends sends one. For such addresses alone, where a service without a codec gets packets as well, and all
 * other codecs are refused. -GB_ETOOLARGE: one above the maximum, or GB_PACKET_MAX. It has no options, and no parts.
 */
GB_API extern const struct gb_codec_ops gb_codec_packet;

GB_END

#endif
