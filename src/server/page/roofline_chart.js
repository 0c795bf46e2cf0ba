// The roofline: attainable FLOP/s over FLOP per byte, both logarithmic, with the latest steps as marks under the machine's roofs. A mark keeps its
// element while its step is among the latest, so that focus and tooltip stay where they are.
const kMargin = { left: 62, right: 14, top: 16, bottom: 40 };
const kKinds = {
    decode: { name: "decode", path: (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z` },
    prefill: { name: "prefill", path: (r) => `M${-r * 0.9} ${-r * 0.9}h${r * 1.8}v${r * 1.8}h${-r * 1.8}z` },
    mixed: { name: "prefill and decode", path: (r) => `M0 ${-r * 1.2}L${r * 1.2} 0 0 ${r * 1.2} ${-r * 1.2} 0z` },
    other: { name: "other", path: (r) => `M0 ${-r * 1.15}L${r * 1.1} ${r * 0.85}H${-r * 1.1}z` },
};
const kind_of = (step) => (Object.hasOwn(kKinds, step.kind) ? step.kind : "other");

// The next of 1, 2, 5, 10, 20, ... at or below value, and at or above it.
function nice_below(value) {
    const power = 10 ** Math.floor(Math.log10(value) + 1e-9), part = value / power * (1 + 1e-9);
    return power * (part >= 5 ? 5 : part >= 2 ? 2 : 1);
}
const nice_above = (value) => 1 / nice_below(1 / value);

class LogScale {
    constructor(low, high, from, to) {
        Object.assign(this, { low, high, from, to });
    }
    at(value) {
        const part = Math.log(value / this.low) / Math.log(this.high / this.low);
        return this.from + Math.min(Math.max(part, 0), 1) * (this.to - this.from);
    }
    // Powers of ten, and 2 and 5 between them where few would be left.
    ticks() {
        const steps = this.high / this.low < 300 ? [1, 2, 5] : [1], all = [];
        for (let power = 10 ** Math.floor(Math.log10(this.low)); power <= this.high; power *= 10) {
            for (const step of steps) {
                const value = power * step;
                if (value >= this.low * 0.999 && value <= this.high * 1.001) all.push(value);
            }
        }
        return all;
    }
}

const is_drawable = (step) => Number.isFinite(step.flops_per_byte) && step.flops_per_byte > 0 && Number.isFinite(step.flop_per_s) && step.flop_per_s > 0;
const roof_at = (machine, intensity) => Math.min(machine.memory_bytes_per_s * intensity, machine.flop_per_s);

// The lines of a mark's tooltip, the first of them its title.
function step_texts(step, machine) {
    const kind = kKinds[kind_of(step)].name;
    const texts = [kind[0].toUpperCase() + kind.slice(1) + ", " + count(step.n_tokens, "token") + (step.n_sequences > 1 ? " of " + count(step.n_sequences, "sequence") : "")];
    const share = machine ? ", " + percent(step.flop_per_s / roof_at(machine, step.flops_per_byte)) + " of the roof" : "";
    texts.push(digits(step.flops_per_byte) + " FLOP/byte, " + si(step.flop_per_s, "FLOP/s") + share);
    if (Number.isFinite(step.measured_seconds)) {
        texts.push(seconds(step.measured_seconds) + (Number.isFinite(step.predicted_seconds) ? ", predicted " + seconds(step.predicted_seconds) : ""));
    }
    texts.push((step.bound ? "bound by " + step.bound + ", " : "") + seconds(step.seconds_ago) + " ago");
    return texts;
}

class RooflineChart {
    constructor(figure) {
        this.figure = figure;
        this.frame = make("svg:g", { "aria-hidden": "true" });
        this.marks = make("svg:g");
        this.svg = make("svg:svg", { role: "group" }, this.frame, this.marks);
        this.tip = make("div", { class: "tip", hidden: true });
        this.legend = make("ul", { class: "legend" });
        this.dots = new Map();  // a step's id: {node, step, kind}
        this.drawn_for = "";
        this.tip_id = null;
        figure.append(this.svg, this.tip, this.legend);
        this.svg.addEventListener("keydown", (event) => this.key(event));
        new ResizeObserver(() => this.draw()).observe(figure);
        this.update(null, []);
    }

    update(machine, steps) {
        this.machine = machine;
        this.steps = steps.filter(is_drawable).sort((a, b) => a.id - b.id);
        this.draw();
    }

    draw() {
        const width = Math.max(this.figure.clientWidth, 240), height = Math.round(Math.min(Math.max(width * 0.66, 230), 340));
        if (this.figure.clientWidth === 0) return;  // not shown
        this.x = new LogScale(...this.x_range(), kMargin.left, width - kMargin.right);
        this.y = new LogScale(...this.y_range(), height - kMargin.bottom, kMargin.top);
        const signature = JSON.stringify([width, height, this.x, this.y, this.machine]);
        if (signature !== this.drawn_for) {
            this.drawn_for = signature;
            const roofs = this.machine ? `: memory gives ${si(this.machine.memory_bytes_per_s, "B/s")}, compute ${si(this.machine.flop_per_s, "FLOP/s")}` : "";
            set(this.svg, { viewBox: `0 0 ${width} ${height}`, height, "aria-label": `Roofline of the latest steps${roofs}. Arrow keys go from step to step.` });
            this.draw_frame(width, height);
        }
        this.draw_marks();
        this.draw_legend();
    }

    x_range() {
        const all = this.steps.map((step) => step.flops_per_byte);
        if (this.machine) {
            const ridge = this.machine.flop_per_s / this.machine.memory_bytes_per_s;
            all.push(ridge * 5, ridge / 8);
        }
        return all.length ? [nice_below(Math.min(...all) / 1.5), nice_above(Math.max(...all) * 1.5)] : [0.1, 1000];
    }

    y_range() {
        const all = this.steps.map((step) => step.flop_per_s);
        let high = Math.max(...all, 0) * 2;
        if (this.machine) {
            all.push(roof_at(this.machine, this.x.low));
            high = Math.max(high, this.machine.flop_per_s * 2.2);
        }
        return all.length ? [nice_below(Math.min(...all) / 1.2), high] : [1e8, 1e12];
    }

    draw_frame(width, height) {
        const bottom = height - kMargin.bottom, right = width - kMargin.right, parts = [];
        const text = (x, y, css, words) => make("svg:text", { x, y, class: css }, words);
        for (const value of this.x.ticks()) {
            parts.push(make("svg:line", { class: "grid", x1: this.x.at(value), x2: this.x.at(value), y1: kMargin.top, y2: bottom }));
            parts.push(text(this.x.at(value), bottom + 15, "middle", tick_text(value)));
        }
        for (const value of this.y.ticks()) {
            parts.push(make("svg:line", { class: "grid", x1: kMargin.left, x2: right, y1: this.y.at(value), y2: this.y.at(value) }));
            parts.push(text(kMargin.left - 7, this.y.at(value) + 4, "end", si(value, "").replace(/\.0+/, "").trim()));
        }
        parts.push(text((kMargin.left + right) / 2, height - 7, "axis-name middle", "arithmetic intensity, FLOP/byte"));
        const name = text(0, 0, "axis-name middle", "FLOP/s");
        name.setAttribute("transform", `translate(13 ${(kMargin.top + bottom) / 2}) rotate(-90)`);
        parts.push(name);
        if (this.machine) parts.push(...this.roofs(bottom, right, text));
        this.frame.replaceChildren(...parts);
    }

    roofs(bottom, right, text) {
        const { memory_bytes_per_s: bandwidth, flop_per_s: peak } = this.machine, ridge = peak / bandwidth;
        const left = kMargin.left, ridge_x = this.x.at(ridge), top = this.y.at(peak), low = this.y.at(bandwidth * this.x.low);
        const slope = (this.y.from - this.y.to) / Math.log(this.y.high / this.y.low) / ((this.x.to - this.x.from) / Math.log(this.x.high / this.x.low));
        const middle = Math.sqrt(this.x.low * ridge);
        const name = text(0, -8, "roof-name middle", si(bandwidth, "B/s"));
        name.setAttribute("transform", `translate(${this.x.at(middle)} ${this.y.at(bandwidth * middle)}) rotate(${-Math.atan(slope) * 180 / Math.PI})`);
        return [
            make("svg:path", { class: "under-memory", d: `M${left} ${low}L${ridge_x} ${top}V${bottom}H${left}z` }),
            make("svg:path", { class: "under-compute", d: `M${ridge_x} ${top}H${right}V${bottom}H${ridge_x}z` }),
            make("svg:line", { class: "ridge", x1: ridge_x, x2: ridge_x, y1: top, y2: bottom }),
            make("svg:path", { class: "roof", d: `M${left} ${low}L${ridge_x} ${top}H${right}` }),
            name,
            text(right, top - 8, "roof-name end", [si(peak, "FLOP/s"), this.machine.arithmetic].filter(Boolean).join(" ")),
            ridge_x - left > 96 && text(ridge_x - 8, bottom - 8, "region end", "memory-bound"),
            right - ridge_x > 106 && text(ridge_x + 8, bottom - 8, "region", "compute-bound"),
        ].filter(Boolean);
    }

    draw_marks() {
        const latest = new Map(this.steps.map((step) => [step.id, step])), n = this.steps.length;
        const focused = [...this.dots].find(([, dot]) => dot.node === document.activeElement);
        for (const [id, dot] of this.dots) {
            if (latest.has(id) && kind_of(latest.get(id)) === dot.kind) continue;  // another kind: a server that began anew
            dot.node.remove();
            this.dots.delete(id);
        }
        this.steps.forEach((step, i) => {
            const dot = this.dots.get(step.id) || this.new_dot(step);
            dot.step = step;
            const age = (n - 1 - i) / Math.max(n, 16), old = Math.min(Math.max(step.seconds_ago - 5, 0) / 50, 1);
            set(dot.node, {
                transform: `translate(${this.x.at(step.flops_per_byte).toFixed(1)} ${this.y.at(step.flop_per_s).toFixed(1)})`,
                opacity: ((0.95 - 0.7 * age) * (1 - 0.65 * old)).toFixed(2), "aria-label": step_texts(step, this.machine).join("; "), tabindex: "-1",
            });
        });
        if (focused && !this.dots.has(focused[0])) {  // its step is no longer among the latest: the oldest that is takes the focus
            const oldest = this.steps[0] && this.dots.get(this.steps[0].id);
            if (oldest) oldest.node.focus();
        }
        const entry = [...this.dots.values()].find((dot) => dot.node === document.activeElement) || (n ? this.dots.get(this.steps[n - 1].id) : null);
        if (entry) entry.node.setAttribute("tabindex", "0");
        if (this.tip_id !== null) this.show_tip(this.tip_id);
    }

    new_dot(step) {
        const kind = kind_of(step), radius = 4.2 + Math.min(Math.log2(Math.max(step.n_tokens, 1)), 10) * 0.45;
        const node = make("svg:path", { class: "dot " + kind, role: "img", d: kKinds[kind].path(radius) });
        const show = () => this.show_tip(step.id), hide = () => this.hide_tip(step.id);
        for (const name of ["pointerenter", "focus"]) node.addEventListener(name, show);
        for (const name of ["pointerleave", "blur"]) node.addEventListener(name, hide);
        this.marks.append(node);
        const dot = { node, step, kind };
        this.dots.set(step.id, dot);
        return dot;
    }

    show_tip(id) {
        const dot = this.dots.get(id);
        if (!dot) return this.hide_tip(this.tip_id);
        this.tip_id = id;
        const [title, ...rest] = step_texts(dot.step, this.machine);
        this.tip.replaceChildren(make("strong", {}, title), ...rest.map((text) => make("div", {}, text)));
        this.tip.hidden = false;
        const x = this.x.at(dot.step.flops_per_byte), y = this.y.at(dot.step.flop_per_s), room = this.figure.clientWidth - this.tip.offsetWidth;
        this.tip.style.left = Math.max(0, Math.min(x - this.tip.offsetWidth / 2, room)) + "px";
        this.tip.style.top = (y > this.tip.offsetHeight + 16 ? y - this.tip.offsetHeight - 14 : y + 16) + "px";
    }

    hide_tip(id) {
        if (id !== this.tip_id) return;
        this.tip_id = null;
        this.tip.hidden = true;
    }

    // One mark is a stop of the tab key; arrows go to older and newer steps.
    key(event) {
        const at = this.steps.findIndex((step) => this.dots.get(step.id).node === document.activeElement);
        const to = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowDown: at - 1, ArrowUp: at + 1, Home: 0, End: this.steps.length - 1 }[event.key];
        if (event.key === "Escape" && this.tip_id !== null) {
            event.stopPropagation();  // the first one closes the tooltip, the next stops an answer
            this.hide_tip(this.tip_id);
        }
        if (at < 0 || to === undefined || !this.steps[to]) return;
        event.preventDefault();
        const next = this.dots.get(this.steps[to].id).node;
        document.activeElement.setAttribute("tabindex", "-1");
        next.setAttribute("tabindex", "0");
        next.focus();
    }

    draw_legend() {
        const kinds = [...new Set(this.steps.map(kind_of))].sort();
        if (kinds.join() === this.legend_for) return;
        this.legend_for = kinds.join();
        this.legend.replaceChildren(...kinds.map((kind) => make("li", {},
            make("svg:svg", { viewBox: "-8 -8 16 16", "aria-hidden": "true" }, make("svg:path", { class: kind, d: kKinds[kind].path(6) })), kKinds[kind].name)));
    }
}

function tick_text(value) {
    return value >= 1 ? whole(value) : String(Number(value.toPrecision(1)));
}
