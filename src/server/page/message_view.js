// One message of the conversation that is shown: its text, what failed, what can be done with it, and the figures under an answer.
const kFinishWords = {
    length: "cut at the limit of tokens", content_filter: "cut by a filter", stopped: "stopped", cancelled: "cancelled", timeout: "cut by the time limit", error: "ended by an error",
};

// "38.2 tok/s" and the like, as [strong, rest] pairs.
function fact_texts(message, streaming) {
    const facts = message.facts || {}, texts = [];
    if (!streaming && !message.failure && message.finish !== "stop") texts.push(["", kFinishWords[message.finish] || (message.finish ? String(message.finish) : "interrupted")]);
    if (!streaming && !message.failure && message.finish === "stop" && !message.content.trim()) texts.push(["", "an empty answer"]);
    if (facts.tokens !== undefined) texts.push(["", count(facts.tokens, "token")]);
    if (facts.tokens_per_second !== undefined) texts.push([digits(facts.tokens_per_second), " tok/s"]);
    if (facts.first_token_seconds !== undefined) {
        const predicted = facts.predicted_first_token_seconds;
        texts.push(["", "first token " + seconds(facts.first_token_seconds) + (predicted !== undefined ? ", predicted " + seconds(predicted) : "")]);
    }
    if (facts.roof_fraction !== undefined) texts.push([percent(facts.roof_fraction), " of the roof"]);
    if (facts.cached_tokens) texts.push(["", whole(facts.cached_tokens) + (facts.prompt_tokens ? " of " + whole(facts.prompt_tokens) : "") + " prompt tokens cached"]);
    if (facts.draft_tokens) texts.push(["", whole(facts.accepted_draft_tokens) + " of " + count(facts.draft_tokens, "draft token") + " accepted"]);
    return texts;
}

class MessageView {
    // actions: {edit(text), retry()}
    constructor(message, actions) {
        this.message = message;
        this.actions = actions;
        this.scheduled = false;
        this.streaming = false;
        this.timer = 0;
        this.node = make("li", { class: "message " + message.role }, make("h2", { class: "unseen" }, message.role === "user" ? "You" : "Answer"));
        this.foot = make("div", { class: "foot" });
        if (message.role === "user") this.build_user();
        else this.build_answer();
    }

    build_user() {
        this.text = make("div", { class: "text" }, this.message.content);
        this.foot.append(make("div", { class: "acts" }, icon_button("copy", "Copy the message", () => copy_text(this.message.content)),
            icon_button("edit", "Edit the message and ask again", () => this.edit())));
        this.node.append(this.text, this.foot);
    }

    build_answer() {
        this.body = make("div", { class: "markdown" });
        this.markdown = new MarkdownView(this.body);
        this.waiting = make("span", { class: "waiting", role: "img", "aria-label": "Waiting for the first token" });
        this.failure = make("div", { class: "failure", role: "alert", hidden: true });
        this.facts = make("ul", { class: "facts", "aria-label": "Figures of this answer" });
        this.acts = make("div", { class: "acts" }, icon_button("copy", "Copy the answer", () => copy_text(this.message.content)),
            icon_button("retry", "Ask again for this answer", () => this.actions.retry()));
        this.foot.append(this.acts, this.facts);
        this.node.append(this.body, this.waiting, this.failure, this.foot);
        this.draw();
    }

    // A part of the text came. However fast parts come, the document changes once a frame; a hidden page has no frames.
    changed() {
        if (this.scheduled) return;
        this.scheduled = true;
        const draw = () => {
            this.scheduled = false;
            this.draw();
        };
        if (document.hidden) setTimeout(draw, 300);
        else requestAnimationFrame(draw);
    }

    draw() {
        const message = this.message;
        this.markdown.update(message.content);
        this.waiting.hidden = !this.streaming || message.content !== "";
        this.body.setAttribute("aria-busy", String(this.streaming));
        this.foot.hidden = this.streaming;
        this.draw_failure();
        if (!this.streaming) this.facts.replaceChildren(...fact_texts(message, this.streaming).map(([strong, rest]) => make("li", {}, strong && make("b", {}, strong), rest)));
        if (this.on_drawn) this.on_drawn();
    }

    draw_failure() {
        const failure = this.message.failure;
        if (failure === this.shown_failure) return;
        this.shown_failure = failure;
        clearInterval(this.timer);
        this.failure.hidden = !failure;
        this.failure.replaceChildren();
        if (!failure) return;
        const titles = { 0: "No answer", 401: "A key is needed", 403: "Not allowed", 413: "Too long for the server", 429: "The server is busy", 503: "The server is not ready" };
        const title = titles[failure.status] || (failure.status >= 500 ? "The server failed" : "The server refused this request");
        this.failure.append(make("strong", {}, title + (failure.status ? " (" + failure.status + ")" : "")), failure.message);
        if (failure.retry_at) this.count_down(failure);
    }

    count_down(failure) {
        const wait = make("span", { class: "wait", "aria-live": "off" });
        const tick = () => {
            const left = Math.ceil((failure.retry_at - Date.now()) / 1000);
            wait.textContent = left > 0 ? "It asks to wait " + (left > 90 ? seconds(left) : left + " s") + " before the next try." : "It can be asked again now.";
            if (left <= 0) clearInterval(this.timer);
        };
        this.timer = setInterval(tick, 500);
        tick();
        this.failure.append(wait);
    }

    // For a screen reader: the text as it is shown, without the buttons in it.
    spoken() {
        return [...this.body.children].map((block) => (block.querySelector("pre") || block).innerText).join("\n");
    }

    edit() {
        const area = make("textarea", { "aria-label": "Edit the message", rows: Math.min(12, this.message.content.split("\n").length + 1) });
        area.value = this.message.content;
        const close = () => {
            form.replaceWith(this.text);
            this.foot.hidden = false;
            this.foot.querySelector("button:last-child").focus();
        };
        const send = () => {
            if (area.value.trim()) this.actions.edit(area.value.trim());
        };
        const form = make("form", { onsubmit: (event) => { event.preventDefault(); send(); } }, area,
            make("div", { class: "buttons" }, make("button", { type: "button", class: "quiet", onclick: close }, "Cancel"), make("button", { type: "submit", class: "primary" }, "Ask again")));
        area.addEventListener("keydown", (event) => {
            if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
                event.preventDefault();
                send();
            } else if (event.key === "Escape") {
                event.stopPropagation();
                close();
            }
        });
        this.text.replaceWith(form);
        this.foot.hidden = true;
        area.focus();
        area.setSelectionRange(area.value.length, area.value.length);
    }

    gone() {
        clearInterval(this.timer);
        this.on_drawn = null;
    }
}
