#include "sim/profile.h"

#define SIM_CALM_BYTES 65536u

const struct sim_profile sim_profile_calm = {
	.rx_max = SIM_CALM_BYTES,
	.tx_max = SIM_CALM_BYTES,
};

static uint64_t next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Half of the faults stay away from a run: what hides behind a frequent fault shows in another run. */
static unsigned draw(uint64_t *state, unsigned most)
{
	uint64_t drawn = next(state);

	return drawn & 1u ? 0 : (unsigned)((drawn >> 8) % (most + 1u));
}

void sim_profile_draw(struct sim_profile *profile, uint64_t *state)
{
	static const size_t sizes[] = { 256, 1024, 4096, 65536, 262144 };
	const unsigned kinds = sizeof(sizes) / sizeof(*sizes);

	*profile = (struct sim_profile){
		.rx_max = sizes[next(state) % kinds],
		.tx_max = sizes[next(state) % kinds],
		.eagain = draw(state, 300),
		.eintr = draw(state, 100),
		.recv_partial = draw(state, 700),
		.send_partial = draw(state, 700),
		.wire_slow = draw(state, 600),
		.connect_now = draw(state, 1000),
		.accept_emfile = draw(state, 100),
		.accept_enfile = draw(state, 50),
		.accept_aborted = draw(state, 100),
		.accept_eproto = draw(state, 50),
		.interrupted = draw(state, 100),
		.spurious = draw(state, 200),
		.few_events = draw(state, 500),
		.shuffle = next(state) & 1u,
		.copied = draw(state, 200),
		.copied_max = 1u + (unsigned)(next(state) % 30u),
		.held = draw(state, 600),
		.held_max = 1u + (unsigned)(next(state) % 8u),
		.multishot_end = draw(state, 300),
		.starved = draw(state, 200),
		.cancel_late = draw(state, 500),
		.stray = draw(state, 100),
		.busy = draw(state, 100),
		.bulk_refused = draw(state, 500),
	};
}

void sim_profile_draw_files(struct sim_profile *profile, uint64_t *state)
{
	profile->file_slow = draw(state, 900);
	profile->file_partial = draw(state, 700);
	profile->file_eintr = draw(state, 200);
	profile->file_eio = draw(state, 100);
	profile->file_enospc = draw(state, 100);
}
