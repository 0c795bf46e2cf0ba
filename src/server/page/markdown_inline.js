// Inline Markdown to nodes: code, bold, italic, struck out, links, escapes, line breaks. HTML stays text, images become links, and only http and
// https are linked. Takes time in proportion to the text, whatever the text is, and nests no deeper than kMaxInlineDepth.
const kMaxInlineDepth = 16;
const kEscapable = "\\`*_{}[]#+-.!|>~<";
const kLinkTarget = /\(<?([^\s<>()]{1,2000}(?:\([^\s()]{0,200}\)[^\s<>()]{0,200}){0,8})>?(?: {1,4}["'][^"']{0,300}["'])?\)/y;
const kBareUrl = /https?:\/\/[^\s<>"'`]{1,2000}/y;
const kAngleUrl = /<(https?:\/\/[^\s<>]{1,2000})>/y;
const kSpecial = /[\\`*_~[\]\n<!]|https?:\/\//g;

// The address of a link that may be followed, or null.
function safe_href(text) {
    let url;
    try {
        url = new URL(text);
    } catch {
        return null;
    }
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
}

function make_link(href, ...children) {
    return make("a", { href, title: href, target: "_blank", rel: "noopener noreferrer nofollow" }, ...children);
}

// Where each length of backtick runs stands, so that a run's partner is found without searching again: {length: [position...]}.
function backtick_runs(text) {
    const runs = new Map();
    for (let at = text.indexOf("`"); at >= 0;) {
        let end = at;
        while (text[end] === "`") end += 1;
        if (!runs.has(end - at)) runs.set(end - at, { at: [], next: 0 });
        runs.get(end - at).at.push(at);
        at = text.indexOf("`", end);
    }
    return runs;
}

class InlineParser {
    constructor(text) {
        this.text = text;
        this.out = document.createDocumentFragment();
        this.plain = "";  // text that is not yet a node
        this.delimiters = [];  // runs of * _ ~ that may open or close: {node, mark, n, opens, closes}
        this.brackets = [];  // {node, at, n_delimiters}
        this.depths = new WeakMap();
    }

    run() {
        const text = this.text;
        let at = 0;
        while (at < text.length) {
            kSpecial.lastIndex = at;
            const found = kSpecial.exec(text);
            const next = found ? found.index : text.length;
            this.plain += text.slice(at, next);
            at = next < text.length ? this.special(next) : next;
        }
        this.flush();
        this.emphasise(0);
        return this.out;
    }

    flush() {
        if (this.plain) this.out.append(this.plain);
        this.plain = "";
    }

    // Each returns where reading goes on.
    special(at) {
        const text = this.text, letter = text[at];
        if (letter === "\\") return this.escape(at);
        if (letter === "`") return this.code(at);
        if (letter === "\n") return this.line_break(at);
        if (letter === "*" || letter === "_" || letter === "~") return this.delimiter(at);
        if (letter === "[") return this.open_bracket(at, at + 1);
        if (letter === "!" && text[at + 1] === "[") return this.open_bracket(at, at + 2);
        if (letter === "]") return this.close_bracket(at);
        if (letter === "<") return this.angle(at);
        if (letter === "h") return this.bare_address(at);
        this.plain += letter;
        return at + 1;
    }

    escape(at) {
        const next = this.text[at + 1];
        if (next === "\n") return this.line_break(at + 1);
        if (next !== undefined && kEscapable.includes(next)) {
            this.plain += next;
            return at + 2;
        }
        this.plain += "\\";
        return at + 1;
    }

    line_break(at) {
        this.plain = this.plain.replace(/ {1,20}$/, "");
        this.flush();
        this.out.append(make("br"));
        return at + 1;
    }

    code(at) {
        let end = at;
        while (this.text[end] === "`") end += 1;
        this.runs ??= backtick_runs(this.text);
        const same = this.runs.get(end - at);
        while (same && same.at[same.next] < end) same.next += 1;
        const close = same ? same.at[same.next] : undefined;
        if (close === undefined) {
            this.plain += this.text.slice(at, end);
            return end;
        }
        let inside = this.text.slice(end, close).replaceAll("\n", " ");
        if (inside.length > 2 && inside.startsWith(" ") && inside.endsWith(" ") && inside.trim()) inside = inside.slice(1, -1);
        this.flush();
        this.out.append(make("code", {}, inside));
        return close + (end - at);
    }

    angle(at) {
        kAngleUrl.lastIndex = at;
        const found = kAngleUrl.exec(this.text), href = found && safe_href(found[1]);
        if (!href) {
            this.plain += "<";
            return at + 1;
        }
        this.flush();
        this.out.append(make_link(href, found[1]));
        return kAngleUrl.lastIndex;
    }

    bare_address(at) {
        kBareUrl.lastIndex = at;
        const found = kBareUrl.exec(this.text);
        let url = found ? found[0] : "";
        url = url.replace(/[.,:;!?*_~\]]{1,100}$/, "");
        if (url.endsWith(")") && !url.includes("(")) url = url.slice(0, -1);
        const href = at > 0 && /\w/.test(this.text[at - 1]) ? null : safe_href(url);
        if (!href) {
            this.plain += this.text.slice(at, at + 4);
            return at + 4;
        }
        this.flush();
        this.out.append(make_link(href, url));
        return at + url.length;
    }

    // CommonMark's rules of what opens and what closes: https://spec.commonmark.org/0.31.2/#emphasis-and-strong-emphasis
    delimiter(at) {
        const text = this.text, mark = text[at];
        let end = at;
        while (text[end] === mark) end += 1;
        const before = at > 0 ? text[at - 1] : " ", after = end < text.length ? text[end] : " ";
        const space = /\s/, mark_or_symbol = /[\p{P}\p{S}]/u;
        const left = !space.test(after) && (!mark_or_symbol.test(after) || space.test(before) || mark_or_symbol.test(before));
        const right = !space.test(before) && (!mark_or_symbol.test(before) || space.test(after) || mark_or_symbol.test(after));
        let opens = left, closes = right;
        if (mark === "_") {
            opens = left && (!right || mark_or_symbol.test(before));
            closes = right && (!left || mark_or_symbol.test(after));
        }
        if (mark === "~" && end - at !== 2) opens = closes = false;
        this.flush();
        const node = document.createTextNode(text.slice(at, end));
        this.out.append(node);
        if (opens || closes) this.delimiters.push({ node, mark, n: end - at, opens, closes });
        return end;
    }

    open_bracket(at, end) {
        this.flush();
        const node = document.createTextNode(this.text.slice(at, end));
        this.out.append(node);
        this.brackets.push({ node, n_delimiters: this.delimiters.length });
        return end;
    }

    close_bracket(at) {
        const bracket = this.brackets.pop();
        kLinkTarget.lastIndex = at + 1;
        const found = bracket ? kLinkTarget.exec(this.text) : null;
        const href = found && safe_href(found[1]);
        if (!href) {
            this.plain += "]";
            return at + 1;
        }
        this.flush();
        this.emphasise(bracket.n_delimiters);
        const link = make_link(href);
        this.wrap(bracket.node, null, link);
        bracket.node.remove();
        this.brackets = [];  // a link holds no other link, so none may begin before this one
        return kLinkTarget.lastIndex;
    }

    // Moves what stands between two nodes into element, which takes its place after the first. False: that would nest too deep.
    wrap(first, last, element) {
        let deepest = 0;
        for (let node = first.nextSibling; node && node !== last; node = node.nextSibling) deepest = Math.max(deepest, this.depths.get(node) || 0);
        if (deepest >= kMaxInlineDepth) return false;
        while (first.nextSibling && first.nextSibling !== last) element.append(first.nextSibling);
        first.after(element);
        this.depths.set(element, deepest + 1);
        return true;
    }

    // Pairs the delimiters from index `from` on, and forgets them.
    emphasise(from) {
        const open = [];  // those that wait for a partner
        let floor = {};  // below it no opener fits such a closer: keeps this linear
        for (let i = from; i < this.delimiters.length; ++i) {
            const closer = this.delimiters[i];
            while (closer.closes && closer.n > 0) {
                const kind = closer.mark + closer.opens + (closer.n % 3);
                let j = open.length - 1;
                const lowest = Math.min(floor[kind] || 0, open.length);
                while (j >= lowest && !this.pairs(open[j], closer)) j -= 1;
                if (j < lowest) {
                    floor[kind] = open.length;
                    break;
                }
                const opener = open[j];
                open.length = j + 1;
                for (const key of Object.keys(floor)) floor[key] = Math.min(floor[key], open.length);
                const n = Math.min(opener.n, closer.n, 2);
                const name = opener.mark === "~" ? "del" : n === 2 ? "strong" : "em";
                if (!this.wrap(opener.node, closer.node, make(name))) {
                    open.length = 0;  // whatever is still open would nest deeper yet
                    floor = {};
                    break;
                }
                for (const side of [opener, closer]) {
                    side.n -= n;
                    side.node.data = side.mark.repeat(side.n);
                }
                if (opener.n === 0) open.pop();
            }
            if (closer.opens && closer.n > 0) open.push(closer);
        }
        this.delimiters.length = from;
    }

    pairs(opener, closer) {
        if (opener.mark !== closer.mark || (opener.mark === "~" && opener.n !== closer.n)) return false;
        const by_three = (opener.closes || closer.opens) && (opener.n + closer.n) % 3 === 0;
        return !by_three || (opener.n % 3 === 0 && closer.n % 3 === 0);
    }
}

function inline(text) {
    return new InlineParser(text).run();
}
