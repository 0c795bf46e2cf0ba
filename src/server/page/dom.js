// Building elements, and numbers as people read them. The first of the scripts: they are joined into one, so each sees what earlier ones declare.
// Text from the server, from a model or from storage reaches the document as text nodes and attribute values only.
"use strict";

const kSvg = "http://www.w3.org/2000/svg";
const by_id = (id) => document.getElementById(id);

// make("a", {href: url, class: "x", onclick: f}, "text", child): null, undefined and false stand for nothing. Names with "svg:" are SVG's.
function make(name, attributes = {}, ...children) {
    const node = name.startsWith("svg:") ? document.createElementNS(kSvg, name.slice(4)) : document.createElement(name);
    set(node, attributes);
    for (const child of children.flat()) {
        if (child !== null && child !== undefined && child !== false) node.append(child);
    }
    return node;
}

function set(node, attributes) {
    for (const [key, value] of Object.entries(attributes)) {
        if (typeof value === "function") node.addEventListener(key.slice(2), value);
        else if (value === null || value === undefined || value === false) node.removeAttribute(key);
        else node.setAttribute(key, value === true ? "" : String(value));
    }
    return node;
}

function icon_button(icon, label, onclick) {
    const svg = make("svg:svg", { "aria-hidden": "true" }, make("svg:use", { href: "#icon-" + icon }));
    return make("button", { type: "button", class: "icon", "aria-label": label, title: label, onclick }, svg);
}

function announce(text) {
    by_id("announcer").textContent = text;
}

// Three digits count: "15.2", "9.10", "214".
function digits(value) {
    if (!Number.isFinite(value)) return "–";
    const size = Math.abs(value);
    if (size >= 100 || value === 0) return Math.round(value).toLocaleString("en-GB");
    return value.toFixed(size >= 9.995 ? 1 : 2);
}

// si(9.1e9, "FLOP/s"): "9.10 GFLOP/s"
function si(value, unit) {
    if (!Number.isFinite(value)) return "–";
    let size = Math.abs(value), prefix = 0;
    const prefixes = ["", "k", "M", "G", "T", "P"];
    while (size >= 999.5 && prefix < prefixes.length - 1) {
        size /= 1000;
        prefix += 1;
    }
    return digits(Math.sign(value) * size) + " " + prefixes[prefix] + unit;
}

function seconds(value) {
    if (!Number.isFinite(value)) return "–";
    if (value >= 90) return Math.floor(value / 60) + " min " + Math.round(value % 60) + " s";
    if (value >= 0.9995) return digits(value) + " s";
    if (value >= 0.0009995) return digits(value * 1000) + " ms";
    return digits(value * 1e6) + " µs";
}

const percent = (fraction) => (Number.isFinite(fraction) ? Math.round(fraction * 100) + "%" : "–");
const whole = (value) => (Number.isFinite(value) ? Math.round(value).toLocaleString("en-GB") : "–");
const count = (n, one, many = one + "s") => whole(n) + " " + (n === 1 ? one : many);

async function copy_text(text, button) {
    let done = true;
    try {
        await navigator.clipboard.writeText(text);
    } catch {
        // Browsers have the clipboard on HTTPS and loopback alone; elsewhere a selected field can be copied.
        const field = make("textarea", { class: "unseen", readonly: true });
        field.value = text;
        document.body.append(field);
        field.select();
        done = document.execCommand("copy");
        field.remove();
        if (button) button.focus();
    }
    announce(done ? "Copied" : "The browser does not allow copying");
    return done;
}

function download(name, text) {
    const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    const link = make("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// One line at the bottom for some seconds, with an action such as "Undo".
let toast_timer = 0;
function toast(text, action = null, run = null) {
    const box = by_id("toast"), button = by_id("toast-action");
    by_id("toast-text").textContent = text;
    button.hidden = !action;
    button.textContent = action || "";
    button.onclick = () => {
        box.hidden = true;
        run();
    };
    box.hidden = false;
    clearTimeout(toast_timer);
    toast_timer = setTimeout(() => { box.hidden = true; }, action ? 9000 : 5000);
}
