// The summary: sentences from the figures, and what they cannot say.
const strong = (name) => el('strong', {}, shortName(name, 40));
const names = (list) => and(list.map((point) => strong(point.model)));
const times = (ratio) => (ratio < 1.995 ? `${percents((ratio - 1) * 100)} more` : `${digits(ratio, 2)} times as much`);

const allPlaces = () => [...new Map(points.map((point) => [keyOf(point.at), point.at || {}])).values()];
const everybodyAt = (at) => models.map((model) => pointAt(model.name, at)).filter((point) => point);

// At one point of a sweep, or the only one.
function throughputSentence(list) {
	const ties = best(list, 'messages_per_second');
	const order = ranked(list, 'messages_per_second');
	const last = order[order.length - 1];
	if (!order.length)
		return null;
	const rate = told(metricOf.get('messages_per_second'), figure(order[0], 'messages_per_second'));
	if (order.length === 1)
		return [strong(order[0].model), ` answered ${rate}; there is nothing to compare it with.`];
	const offered = state.at.rate || load.rate;
	if (isNumber(offered)) {
		const behind = order.filter((point) => figure(point, 'messages_per_second') < offered * KEPT);
		return behind.length === 0 ? ['All of them kept up with what was offered.'] : behind.length === order.length ?
			['None of them kept up with what was offered; ', strong(order[0].model), ` came nearest, with ${rate}.`] :
			behind.length === 1 ? [strong(last.model), ` did not keep up with what was offered: it answered only ${told(metricOf.get('messages_per_second'), figure(last, 'messages_per_second'))}.`] :
			[names(behind), ' did not keep up with what was offered: ', strong(last.model), ` answered only ${told(metricOf.get('messages_per_second'), figure(last, 'messages_per_second'))}.`];
	}
	if (ties.length === order.length)
		return ['All of them answered about as much, up to ', `${rate}: what differs between them is no more than noise.`];
	const ratio = figure(order[0], 'messages_per_second') / figure(last, 'messages_per_second');
	const behind = [`, ${times(ratio)} as `.replace('more as', 'more than').replace('much as', 'many as'), strong(last.model), ', the slowest.'];
	if (ties.length === 1)
		return [strong(order[0].model), ` answered most: ${rate}`, behind];
	if (ties.length > NAMED_MOST)
		return [`${manyOf(ties, order)} cannot be told from the fastest, `, strong(order[0].model), ` with ${rate}; `, strong(last.model), ' is the slowest, with ',
			`${told(metricOf.get('messages_per_second'), figure(last, 'messages_per_second'))}.`];
	return [names(ties), ` answered most, up to ${rate}; this run cannot tell which of them is faster. That is`,
		[behind[0].replace(',', ''), behind[1], behind[2]]];
}

// As many as are named one by one; of more it is said how many they are.
const NAMED_MOST = 3;
const manyOf = (some, all) => sentenceCase(`${inWords(some.length)} of the ${inWords(all.length)}`);

function extremeSentence(list, key, say, what) {
	const order = ranked(list, key);
	if (order.length < 2)
		return null;
	const ties = best(list, key);
	const metric = metricOf.get(key), last = order[order.length - 1];
	if (ties.length === order.length)
		return null;
	if (ties.length <= NAMED_MOST)
		return say(ties, last, metric);
	return [`${sentenceCase(what)} goes from ${written(metric, figure(order[0], key))} (`, strong(order[0].model),
		`, and ${inWords(ties.length - 1)} more as good) to ${written(metric, figure(last, key))} (`, strong(last.model), ').'];
}

const cpuSentence = (list) => extremeSentence(list, 'cpu_ns_per_message', (ties, last, metric) => [
	'A message costs the least CPU time under ', names(ties), `: ${written(metric, figure(ties[0], metric.key))}; it is `,
	`${written(metric, figure(last, metric.key))} under `, strong(last.model), '.'], 'CPU time per message');

const tailSentence = (list) => extremeSentence(list, 'p99_ns', (ties, last, metric) => [
	'The tail is shortest under ', names(ties), `: 99 of 100 replies were there within ${written(metric, figure(ties[0], metric.key))}, `,
	'against ', `${written(metric, figure(last, metric.key))} under `, strong(last.model), '.'], 'p99 latency');

const memorySentence = (list) => extremeSentence(list, 'memory_per_connection_bytes', (ties, last, metric) => [
	`A connection takes ${written(metric, figure(ties[0], metric.key))} under `, names(ties),
	`, but ${written(metric, figure(last, metric.key))} under `, strong(last.model), '.'], 'memory per connection');

// Whether a model is among the best everywhere, or where the best changes.
function sweepSentence() {
	if (axes.length !== 1)
		return null;
	const axis = axes[0];
	const key = axis.name === 'rate' ? 'p99_ns' : 'messages_per_second';
	const what = key === 'p99_ns' ? 'has the shortest tail' : 'is fastest';
	const rows = axis.values.map((value) => [value, best(everybodyAt({ [axis.name]: value }), key).map((point) => point.model)])
		.filter(([, winners]) => winners.length);
	if (rows.length < 2)
		return null;
	const always = rows[0][1].filter((name) => rows.every(([, winners]) => winners.includes(name)));
	if (always.length > NAMED_MOST)
		return [`${manyOf(always, models)} ${what.replace('is', 'are').replace('has', 'have')}, or cannot be told from the best, at every ${axisPhrase(axis)}.`];
	if (always.length)
		return [and(always.map(strong)), always.length === 1 ? ` ${what}` : ` ${what.replace('is', 'are').replace('has', 'have')}`,
			`, or cannot be told from the best, at every ${axisPhrase(axis)}.`];
	const spans = [];
	for (const [value, winners] of rows) {
		const span = spans[spans.length - 1];
		const common = span ? span.winners.filter((name) => winners.includes(name)) : [];
		if (common.length)
			Object.assign(span, { winners: common, to: value });
		else
			spans.push({ winners, from: value, to: value });
	}
	const range = (span) => (span.from === span.to ? `at ${axisValue(axis, span.from)}` :
		`from ${axisValue(axis, span.from)} to ${axisValue(axis, span.to)}`);
	return [`Which model ${what} depends on the ${axisPhrase(axis)}: `,
		spans.map((span, i) => [i ? '; ' : '', range(span), ' ', and(span.winners.map(strong), 3)]), '.'];
}

// Beyond which a run says little about anything: of throughput, or where the rate is given of the tail.
const LOUD = 1.25, LOUD_TAIL = 2;
const isLoud = () => (isNumber(load.rate) || axes.some((axis) => axis.name === 'rate') ? noiseOf('p99_ns') > LOUD_TAIL : noiseOf('messages_per_second') > LOUD);
const NOISE_TOLD = [['messages_per_second', 'throughput'], ['cpu_ns_per_message', 'CPU time'], ['p99_ns', 'p99']];
const byHow = (ratio) => (ratio < 2 ? percents((ratio - 1) * 100) : `a factor of ${digits(ratio, 2)}`);

function noiseSentence() {
	const known = NOISE_TOLD.filter(([key]) => noiseOf(key) !== undefined);
	const differed = and(known.map(([key, name]) => `${byHow(noiseOf(key))} in ${name}`));
	if (!known.length)
		return ['Nothing says how much two runs of the same model differ here, so models are told apart only when their rounds do not overlap.'];
	if (isLoud())
		return [el('strong', {}, 'The machine was not quiet. '), 'One and the same model, measured twice side by side, differed by up to ', differed,
			': little can be told apart here. Another run, longer and with nothing beside it, would say more.'];
	return ['One and the same model, measured twice side by side, differed by up to ', differed, '; what is closer than that is called a tie.'];
}

function kneeSentence() {
	const axis = axes.find((each) => each.name === 'rate');
	if (!axis)
		return null;
	const found = models.map((model) => ({ model: model.name, knee: kneeOf(model.name, restOf(axis)) }))
		.filter((each) => each.knee !== undefined).sort((a, b) => b.knee - a.knee);
	if (!found.length)
		return null;
	const [first, last] = [found[0], found[found.length - 1]];
	const most = axis.values[axis.values.length - 1];
	if (last.knee === most)
		return ['No model reached its knee: all kept up with the highest rate that was offered, ', `${axisValue(axis, most)}.`];
	if (first.knee === last.knee)
		return [`Latency begins to rise steeply beyond ${axisValue(axis, first.knee)}, under all of them.`];
	return ['Latency stays low up to ', axisValue(axis, first.knee), ' under ', strong(first.model), ', but only up to ',
		axisValue(axis, last.knee), ' under ', strong(last.model), '.'];
}

function troubleSentence() {
	const failed = points.filter((point) => !point.ok).length;
	const warned = points.filter((point) => point.ok && (point.warnings || []).length).length;
	if (!failed && !warned)
		return null;
	return [failed ? `${inWords(failed)} of ${plural(points.length, 'measurement')} failed` : '', failed && warned ? ', and ' : '',
		warned ? `${inWords(warned)} of ${plural(points.length, 'measurement')} ${warned === 1 ? 'comes' : 'come'} with a warning` : '', ': ',
		el('a', { href: '#trouble' }, 'which, and why'), '.'].map((part, i) =>
		(i === 0 || (i === 2 && !failed)) && typeof part === 'string' ? part.replace(/^./, (c) => c.toUpperCase()) : part);
}

function baselineSentence() {
	if (!data.baseline)
		return null;
	const beyond = (data.baseline.changes || []).filter((change) => change.beyond_noise);
	if (!beyond.length)
		return [`Since ${dateOf(data.baseline.when)} nothing changed beyond the noise.`];
	const better = beyond.filter((change) => metricOf.has(change.metric) &&
		metricOf.get(change.metric).better * (change.now - change.before) > 0).length;
	return [`Since ${dateOf(data.baseline.when)} `, plural(beyond.length, 'figure'), ' changed beyond the noise, ',
		`${inWords(better)} for the better: `, el('a', { href: '#changes' }, 'what changed'), '.'];
}

function summarySentences() {
	const list = here();
	const paragraphs = [
		isLoud() ? [noiseSentence()] : [],
		[axes.length ? [el('span', { class: 'at-place' }, `At ${place(state.at)}.`), ' ', throughputSentence(list)] : throughputSentence(list),
			cpuSentence(list), tailSentence(list), memorySentence(list)],
		[sweepSentence(), kneeSentence()],
		[isLoud() ? null : noiseSentence(), troubleSentence(), baselineSentence()],
	];
	return paragraphs.map((sentences) => sentences.filter((each) => each)).filter((each) => each.length);
}

function summary() {
	const box = el('div', { class: 'prose', 'aria-live': 'polite' });
	const draw = () => replace(box, summarySentences().map((sentences) =>
		el('p', {}, sentences.map((sentence, i) => [i ? ' ' : '', sentence]))));
	onChange(draw);
	draw();
	const findings = data.findings || [];
	return el('section', { class: 'summary' },
		data.interrupted ? el('p', { class: 'banner', role: 'note' }, el('strong', {}, 'Interrupted. '),
			'This is what had been measured when the run was stopped; models and rounds are missing.') : null,
		el('h2', {}, 'In short'), box,
		findings.length ? el('details', { class: 'on-paper' }, el('summary', {}, `What the run says itself (${plural(findings.length, 'sentence')})`),
			el('ul', { class: 'findings' }, findings.map((text) => el('li', {}, text)))) : null);
}
