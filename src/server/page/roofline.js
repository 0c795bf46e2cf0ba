// The live view beside the chat: asks /roofline each second while it can be seen, and shows the chart, the verdict, gauges and sparklines.
const kPollMs = 1000;
const kMaxHistory = 120;  // polls: two minutes of sparkline

const kGauges = [
    { name: "Memory (MBU)", title: "Share of the memory bandwidth that was measured on this machine", bar: "", of: (now) => now.mbu },
    { name: "Compute (MFU)", title: "Share of the FLOP/s that were measured on this machine", bar: "compute", of: (now) => now.mfu },
    { name: "KV cache", title: "Blocks of the KV cache that running sequences hold", bar: "space-used", of: (now) => now.kv_used_fraction },
    { name: "Prefix hits", title: "Prompt tokens that were found in the prefix cache", bar: "", of: (now) => now.prefix_hit_fraction },
    { name: "Drafts accepted", title: "Draft tokens that the model itself would have chosen", bar: "", of: (now) => (now.drafted_per_s > 0 ? now.accepted_per_s / now.drafted_per_s : NaN) },
    { name: "Running", title: "Sequences that are computed, and the predicted seconds until all that is here now has ended",
      text: (now) => [whole(now.n_running), now.queued_seconds > 0 ? " " + seconds(now.queued_seconds) + " left" : ""] },
    { name: "Queued", title: "Sequences that wait", text: (now) => [whole(now.n_queued), ""] },
    { name: "Prefill", text: (now) => [digits(now.prefill_tokens_per_s), " tok/s"] },
];

class Sparkline {
    // draws lines of values from 0 to the largest of them, oldest at the left
    constructor(title, keys) {
        this.value = make("b", {}, "–");
        this.rest = make("span");
        this.svg = make("svg:svg", { viewBox: "0 0 100 40", preserveAspectRatio: "none", role: "img" });
        const names = make("div", { class: "title" }, title, keys.map((key, i) => make("span", { class: "key-" + "ab"[i] }, " " + key)));
        this.node = make("div", { class: "spark" }, names, make("div", { class: "value" }, this.value, this.rest), this.svg);
    }

    draw(lines, width, value, rest, label) {
        const all = lines.flat().filter(Number.isFinite), high = Math.max(...all, 0) || 1;
        const path = (line) => {
            const points = line.map((one, i) => [100 - (line.length - 1 - i) * 100 / Math.max(width - 1, 1), 38 - Math.min(one / high, 1) * 35]).filter(([, y]) => Number.isFinite(y));
            return points.length > 1 ? "M" + points.map(([x, y]) => x.toFixed(2) + " " + y.toFixed(2)).join("L") : "";
        };
        this.value.textContent = value;
        this.rest.textContent = rest;
        set(this.svg, { "aria-label": label });
        this.svg.replaceChildren(make("svg:path", { class: "floor", d: "M0 38.5H100" }), ...lines.map((line, i) => make("svg:path", { class: "line-" + "ab"[i], d: path(line) })));
    }
}

class RooflineView {
    // hooks: {key_needed(message, again), model(name)}
    constructor(hooks) {
        this.hooks = hooks;
        this.panel = by_id("machine");
        this.chart = new RooflineChart(by_id("chart"));
        this.rates = [];
        this.latest = null;
        this.n_failures = 0;
        this.paused = false;
        this.timer = 0;
        this.asking = false;
        this.speed = new Sparkline("Decode, latest 2 minutes", []);
        this.times = new Sparkline("Step time", ["predicted", "measured"]);
        by_id("sparks").append(this.speed.node, this.times.node);
        this.gauges = kGauges.map((gauge) => this.build_gauge(gauge));
        by_id("pause").addEventListener("click", () => this.set_paused(!this.paused));
        by_id("steps").addEventListener("toggle", () => this.draw_table());
        document.addEventListener("visibilitychange", () => this.wake());
        this.wake();
    }

    build_gauge(gauge) {
        const value = make("span"), unit = make("small"), fill = make("i");
        const bar = gauge.text ? null : make("div", { class: "gauge-bar " + gauge.bar, "aria-hidden": "true" }, fill);
        by_id("gauges").append(make("div", { class: "gauge", title: gauge.title }, make("dt", {}, gauge.name), make("dd", {}, value, unit, bar)));
        return { gauge, value, unit, fill };
    }

    set_paused(paused) {
        this.paused = paused;
        const button = by_id("pause"), label = paused ? "Go on with the live view" : "Pause the live view";
        set(button, { "aria-pressed": String(paused), "aria-label": label, title: label });
        button.querySelector("use").setAttribute("href", paused ? "#icon-play" : "#icon-pause");
        this.wake();
    }

    visible() {
        return !document.hidden && !this.paused && this.panel.offsetParent !== null;
    }

    // Asks now, if there is somebody to see it; called when that may have changed.
    wake() {
        clearTimeout(this.timer);
        if (this.visible() && !this.asking) this.poll();
    }

    async poll() {
        this.asking = true;
        let wait = kPollMs;
        try {
            const response = await ask_server("/roofline");
            this.show(await response.json());
            this.n_failures = 0;
        } catch (error) {
            this.n_failures += 1;
            wait = Math.min(kPollMs * 2 ** (this.n_failures - 1), 5000);
            this.show_failure(error);
        }
        this.asking = false;
        clearTimeout(this.timer);
        if (this.visible()) this.timer = setTimeout(() => this.wake(), wait);
    }

    show_failure(error) {
        const notice = by_id("machine-notice");
        notice.hidden = false;
        if (error.status === 401) {
            notice.replaceChildren("The live view needs the API key. ", make("button", { type: "button", class: "quiet", onclick: () => this.hooks.key_needed(error.message, () => this.wake()) }, "Enter it"));
        } else if (notice.textContent !== error.message) {
            notice.textContent = error instanceof ApiError ? error.message : "The live view could not be read: " + error.message;
        }
    }

    show(data) {
        this.latest = data;
        const now = data.now || {}, steps = Array.isArray(data.steps) ? data.steps : [], machine = data.machine || null;
        this.rates.push(now.decode_tokens_per_s);
        if (this.rates.length > kMaxHistory) this.rates.shift();
        this.show_notice(machine);
        this.show_verdict(data.verdict, now, steps);
        this.chart.update(machine, steps);
        for (const { gauge, value, unit, fill } of this.gauges) {
            const fraction = gauge.of ? gauge.of(now) : NaN, [text, rest] = gauge.text ? gauge.text(now) : [percent(fraction), ""];
            value.textContent = text;
            unit.textContent = rest;
            fill.style.transform = "scaleX(" + (Number.isFinite(fraction) ? Math.min(Math.max(fraction, 0), 1) : 0) + ")";
        }
        this.show_sparks(now, steps);
        if (by_id("steps").open) this.draw_table();
        by_id("machine-name").textContent = machine ? [machine.name, machine.isa, count(machine.n_threads, "thread"), machine.measured ? "roofs as measured here" : "roofs measured while the machine was busy: not to be trusted"].filter(Boolean).join(" · ") : "";
        if (data.model) this.hooks.model(String(data.model));
    }

    show_notice(machine) {
        const notice = by_id("machine-notice");
        notice.hidden = machine !== null;
        if (machine === null) notice.textContent = "The roofs of this machine are not known yet: “rafter probe” measures them.";
    }

    show_verdict(verdict, now, steps) {
        const idle = steps.length ? "Idle" : "Nothing has run yet", running = now.n_running > 0 ? "Running" : idle;
        by_id("roof-headline").textContent = Number.isFinite(now.roof_fraction) ? "At " + percent(now.roof_fraction) + " of the roof" : running;
        let headline = "No request yet.", lines = ["Ask something: each step of the model becomes a mark under the roofs."];
        if (verdict && verdict.headline) {
            headline = String(verdict.headline);
            lines = Array.isArray(verdict.lines) ? verdict.lines.map(String) : [];
        } else if (steps.length) {
            headline = "No request.";
            lines = [];
        }
        by_id("verdict-headline").textContent = headline[0].toUpperCase() + headline.slice(1);
        const shown = by_id("verdict-lines");
        if (shown.textContent !== lines.join("")) shown.replaceChildren(...lines.map((line) => make("li", {}, line)));
    }

    show_sparks(now, steps) {
        const rate = now.decode_tokens_per_s, highest = Math.max(...this.rates.filter(Number.isFinite), 0);
        this.speed.draw([this.rates], Math.max(this.rates.length, 20), digits(rate), " tok/s", `Decode tokens per second over the last two minutes: now ${digits(rate)}, at most ${digits(highest)}`);
        const ordered = steps.slice().sort((a, b) => a.id - b.id), ratio = now.predicted_over_measured;
        const predicted = ordered.map((step) => step.predicted_seconds), measured = ordered.map((step) => step.measured_seconds);
        const text = Number.isFinite(ratio) ? digits(ratio) : "–";
        this.times.draw([predicted, measured], Math.max(ordered.length, 2), text, " predicted ÷ measured", `Seconds of the latest ${ordered.length} steps, predicted and measured: predicted over measured ${text}`);
    }

    draw_table() {
        const { latest } = this, [head, body] = [by_id("steps").querySelector("thead"), by_id("steps").querySelector("tbody")];
        if (!latest || !by_id("steps").open) return;
        const names = ["Kind", "Tokens", "FLOP/byte", "FLOP/s", "Predicted", "Measured", "Bound"];
        head.replaceChildren(make("tr", {}, names.map((name) => make("th", { scope: "col" }, name))));
        const steps = (latest.steps || []).slice().sort((a, b) => b.id - a.id).slice(0, 16);
        body.replaceChildren(...steps.map((step) => make("tr", {}, [
            String(step.kind), whole(step.n_tokens), digits(step.flops_per_byte), si(step.flop_per_s, ""),
            seconds(step.predicted_seconds), seconds(step.measured_seconds), String(step.bound || "–"),
        ].map((text) => make("td", {}, text)))));
    }
}
