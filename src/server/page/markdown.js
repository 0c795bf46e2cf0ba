// Markdown blocks to nodes, for text that is still arriving: what is complete is made once and left alone; only the block at the end, which may
// still change, is made again. A dialect for answers: no HTML, no indented code, a line end is a line break.
const kMaxBlockDepth = 8;
const kHeading = /^ {0,3}(#{1,6})(?:\s(.*))?$/;
const kItem = /^(\s*)([-*+]|\d{1,9}[.)])(\s+(?=\S)|\s*$)/;
const kQuote = /^\s{0,3}> ?/;

const is_blank = (line) => line.trim() === "";
const is_rule = (line) => line.length < 200 && /^ {0,3}([-*_])(\s*\1){2,}\s*$/.test(line);
const indent_of = (line) => line.length - line.trimStart().length;

// The line that opens a code block: {mark, n, language}, or null. By hand, for an expression would try every part of a long run of '~'.
function fence_of(line) {
    const text = line.trimStart(), mark = text[0];
    if (mark !== "`" && mark !== "~") return null;
    let n = 1;
    while (text[n] === mark) n += 1;
    const info = text.slice(n).trim();
    if (n < 3 || (mark === "`" && info.includes("`"))) return null;
    return { mark, n, language: info.split(/\s/, 1)[0].slice(0, 40) };
}

// Cells of a table's row; an escaped '|' belongs to its cell.
function row_cells(line) {
    let text = line.trim();
    if (text.startsWith("|")) text = text.slice(1);
    if (text.endsWith("|") && !text.endsWith("\\|")) text = text.slice(0, -1);
    const cells = [""];
    for (let i = 0; i < text.length; ++i) {
        if (text[i] === "\\" && text[i + 1] === "|") cells[cells.length - 1] += text[++i];
        else if (text[i] === "|") cells.push("");
        else cells[cells.length - 1] += text[i];
    }
    return cells.map((cell) => cell.trim());
}

// The alignments of the line under a table's head, or null.
function delimiter_row(line) {
    if (line === undefined || !line.includes("-") || !/^[\s|:-]+$/.test(line)) return null;
    const cells = row_cells(line);
    if (cells.length > 64 || !cells.every((cell) => /^:?-+:?$/.test(cell))) return null;
    return cells.map((cell) => (cell.endsWith(":") ? (cell.startsWith(":") ? "center" : "right") : "left"));
}

function table_at(lines, at) {
    if (!lines[at].includes("|")) return null;
    const alignments = delimiter_row(lines[at + 1]);
    return alignments && row_cells(lines[at]).length === alignments.length ? alignments : null;
}

// What ends a paragraph without a blank line before it. Of numbered items only the first does: a line may well begin with a year.
function starts_block(lines, at) {
    const line = lines[at];
    if (fence_of(line) !== null || kHeading.test(line) || is_rule(line) || kQuote.test(line)) return true;
    const item = kItem.exec(line);
    if (item) return item[3] !== "" && (item[2].length === 1 || item[2] === "1.");
    return table_at(lines, at) !== null;
}

function read_fence(lines, at) {
    const fence = fence_of(lines[at]);
    if (!fence) return null;
    const indent = indent_of(lines[at]);
    let end = at + 1;
    const closes = (line) => {
        const text = line.trim();
        return text.length >= fence.n && text === fence.mark.repeat(text.length);
    };
    while (end < lines.length && !closes(lines[end])) end += 1;
    const content = lines.slice(at + 1, end).map((line) => line.slice(Math.min(indent, indent_of(line))));
    return { kind: "code", language: fence.language, text: content.join("\n"), n_lines: Math.min(end + 1, lines.length) - at };
}

function read_heading(lines, at) {
    const found = kHeading.exec(lines[at]);
    if (!found) return null;
    return { kind: "heading", level: found[1].length, text: (found[2] || "").trim().replace(/\s#{1,50}$/, ""), n_lines: 1 };
}

function read_quote(lines, at) {
    let end = at;
    while (end < lines.length && kQuote.test(lines[end])) end += 1;
    if (end === at) return null;
    return { kind: "quote", lines: lines.slice(at, end).map((line) => line.replace(kQuote, "")), n_lines: end - at };
}

function read_table(lines, at) {
    const alignments = table_at(lines, at);
    if (!alignments) return null;
    let end = at + 2;
    while (end < lines.length && lines[end].includes("|") && !is_blank(lines[end])) end += 1;
    const rows = lines.slice(at + 2, end).map(row_cells);
    return { kind: "table", head: row_cells(lines[at]), alignments, rows, n_lines: end - at };
}

// Items go on over blank lines when what follows is indented or another item. Two spaces are enough for what belongs to an item: models are
// not exact about it.
function read_list(lines, at) {
    const first = kItem.exec(lines[at]);
    if (!first || is_rule(lines[at])) return null;
    const base = first[1].length, ordered = first[2].length > 1, items = [];
    let loose = false, end = at;
    const item_here = (line) => {
        const found = kItem.exec(line);
        return found && !is_rule(line) && found[1].length < base + 2 && found[2].length > 1 === ordered &&
            (ordered || found[2] === first[2]) ? found : null;
    };
    for (let i = at; i < lines.length; ++i) {
        const line = lines[i], found = item_here(line);
        if (found) {
            const width = found[1].length + found[2].length + Math.min(Math.max(found[3].length, 1), 4);
            if (items.length && i > end) loose = true;
            items.push({ width, lines: [line.slice(found[0].length)] });
        } else if (is_blank(line)) {
            continue;  // decided by the next line that is not
        } else {
            const item = items[items.length - 1], indent = indent_of(line);
            const lazy = i === end && !starts_block(lines, i);
            if (indent < base + 2 && !lazy) break;
            while (item.lines.length && end < i) {
                item.lines.push("");
                end += 1;
            }
            item.lines.push(line.slice(Math.min(indent, item.width)));
        }
        end = i + 1;
    }
    return { kind: "list", ordered, start: ordered ? parseInt(first[2], 10) : 1, loose, items: items.map((item) => item.lines), n_lines: end - at };
}

function read_paragraph(lines, at) {
    let end = at + 1;
    while (end < lines.length && !is_blank(lines[end]) && !starts_block(lines, end)) end += 1;
    return { kind: "paragraph", text: lines.slice(at, end).map((line) => line.trimStart()).join("\n").trimEnd(), n_lines: end - at };
}

// [{kind, first, n_lines, ...}], first: the block's first line.
function parse_blocks(lines, depth = 0) {
    const blocks = [];
    let at = 0;
    while (at < lines.length) {
        if (is_blank(lines[at])) {
            at += 1;
            continue;
        }
        const nested = depth < kMaxBlockDepth;
        const block = read_fence(lines, at) || read_heading(lines, at) || (is_rule(lines[at]) ? { kind: "rule", n_lines: 1 } : null) ||
            (nested && read_quote(lines, at)) || (nested && read_list(lines, at)) || read_table(lines, at) || read_paragraph(lines, at);
        block.first = at;
        at += block.n_lines;
        blocks.push(block);
    }
    return blocks;
}

function render_code(block) {
    const code = make("code", {}, document.createTextNode(block.text));
    const button = make("button", { type: "button", onclick: async () => {
        if (await copy_text(code.textContent, button)) {
            button.textContent = "Copied";
            setTimeout(() => { button.textContent = "Copy"; }, 1500);
        }
    } }, "Copy");
    const label = "Code" + (block.language ? " in " + block.language : "");
    return make("div", { class: "code" }, make("div", { class: "bar" }, make("span", {}, block.language || "text"), button),
        make("pre", { tabindex: "0", role: "region", "aria-label": label }, code));
}

function render_list(block, depth) {
    const items = block.items.map((lines) => {
        const task = /^\[([ xX])\]\s/.exec(lines[0]);
        const rest = task ? [(task[1] === " " ? "☐ " : "☑ ") + lines[0].slice(task[0].length), ...lines.slice(1)] : lines;
        const bare = (inner, i) => i === 0 && inner.kind === "paragraph" && !block.loose;
        return make("li", { class: task ? "task" : null }, parse_blocks(rest, depth + 1).map((inner, i) => (bare(inner, i) ? inline(inner.text) : render_block(inner, depth + 1))));
    });
    return make(block.ordered ? "ol" : "ul", { start: block.start !== 1 ? block.start : null }, items);
}

function render_table(block) {
    const cells = (name, texts) => block.alignments.map((alignment, i) => make(name, { class: alignment, scope: name === "th" ? "col" : null }, inline(texts[i] || "")));
    return make("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Table" },
        make("table", {}, make("thead", {}, make("tr", {}, cells("th", block.head))),
            make("tbody", {}, block.rows.map((row) => make("tr", {}, cells("td", row))))));
}

function render_block(block, depth = 0) {
    if (block.kind === "code") return render_code(block);
    if (block.kind === "heading") return make("h" + Math.min(block.level + 2, 6), {}, inline(block.text));
    if (block.kind === "rule") return make("hr");
    if (block.kind === "quote") return make("blockquote", {}, parse_blocks(block.lines, depth + 1).map((inner) => render_block(inner, depth + 1)));
    if (block.kind === "list") return render_list(block, depth);
    if (block.kind === "table") return render_table(block);
    return make("p", {}, inline(block.text));
}

class MarkdownView {
    constructor(root) {
        this.root = root;
        this.clear();
    }

    clear() {
        this.root.replaceChildren();
        this.text = "";
        this.closed = 0;  // of text: before it, nothing can change any more
        this.open = [];  // the nodes of what can
        this.open_code = null;  // {language, text, node} while a code block is all that is open
    }

    // Text that goes on from the last is the cheap case; any other is rendered anew.
    update(text) {
        if (text === this.text) return;
        if (!text.startsWith(this.text)) this.clear();
        this.text = text;
        const lines = text.slice(this.closed).split("\n");
        const blocks = parse_blocks(lines);
        if (this.grow_code(blocks)) return;
        // The last block may go on. One that the unfinished last line begins, or makes a table, may yet turn out to belong to the block before.
        let n_closed = Math.max(blocks.length - 1, 0);
        const last_block = blocks[n_closed];
        if (n_closed > 0 && last_block.first + (last_block.kind === "table" ? 1 : 0) >= lines.length - 1) n_closed -= 1;
        for (const node of this.open) node.remove();
        const nodes = blocks.map((block) => render_block(block));
        this.root.append(...nodes);
        this.open = nodes.slice(n_closed);
        if (n_closed > 0) this.closed += lines.slice(0, blocks[n_closed].first).reduce((sum, line) => sum + line.length + 1, 0);
        const last = blocks.length - n_closed === 1 ? blocks[n_closed] : null;
        this.open_code = last && last.kind === "code" ? { language: last.language, text: last.text, node: nodes[n_closed] } : null;
    }

    // A long code block that only became longer gets its new text appended.
    grow_code(blocks) {
        const known = this.open_code, block = blocks[0];
        if (!known || blocks.length !== 1 || block.kind !== "code" || block.language !== known.language || !block.text.startsWith(known.text)) return false;
        known.node.querySelector("code").firstChild.appendData(block.text.slice(known.text.length));
        known.text = block.text;
        return true;
    }
}
