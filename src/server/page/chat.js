// The conversation that is shown, and the answers that stream: one a conversation at a time, also in those that are not shown.
class Chat {
    // hooks: {listed(): the list of conversations changed, key_needed(message, again)}
    constructor(store, hooks) {
        this.store = store;
        this.hooks = hooks;
        this.settings = store.settings();
        this.server_model = "";
        this.streams = new Map();  // id of a conversation: {controller, message, saved_at}
        this.views = new Map();  // message: its view, of the conversation that is shown
        this.list = by_id("list");
        this.scroller = by_id("messages");
        this.leaving = false;
        this.stick = true;  // to the end, while text comes
        this.scroller.addEventListener("scroll", () => this.scrolled());
        new ResizeObserver(() => this.drawn()).observe(this.scroller);  // a phone's keyboard came up
        by_id("jump").addEventListener("click", () => this.to_end());
        this.open(store.list()[0] || store.create());
    }

    open(conversation) {
        this.current = conversation;
        for (const view of this.views.values()) view.gone();
        this.views.clear();
        this.list.replaceChildren();
        for (const message of conversation.messages) this.add_view(message);
        this.state_changed();
        this.to_end();
    }

    add_view(message) {
        const view = new MessageView(message, {
            edit: (text) => this.edit(message, text),
            retry: () => this.retry(message),
        });
        const stream = this.streams.get(this.current.id);
        view.streaming = stream !== undefined && stream.message === message;
        if (message.role === "assistant") {
            view.draw();
            view.on_drawn = () => this.drawn();
        }
        this.views.set(message, view);
        this.list.append(view.node);
    }

    send(text) {
        if (this.streams.has(this.current.id) || !text.trim()) return false;
        const message = { role: "user", content: text.trim() };
        this.current.messages.push(message);
        this.add_view(message);
        this.ask(this.current);
        return true;
    }

    // Asks for the message that follows the conversation's last.
    async ask(conversation) {
        const message = { role: "assistant", content: "" };
        const body = chat_body(conversation.messages, this.settings, this.settings.model || this.server_model);
        const stream = { controller: new AbortController(), message, saved_at: Date.now() };
        conversation.messages.push(message);
        conversation.updated = Date.now();
        this.streams.set(conversation.id, stream);
        this.store.save(conversation);
        if (conversation === this.current) {
            this.add_view(message);
            this.state_changed();
            this.to_end();
        }
        this.hooks.listed();
        try {
            await stream_answer(message, body, stream.controller.signal, () => this.message_changed(conversation, stream));
        } catch (error) {
            this.failed(message, error, stream);
        }
        if (this.streams.get(conversation.id) === stream) this.streams.delete(conversation.id);
        if (!stream.dropped && !this.leaving) this.ended(conversation, message);
    }

    failed(message, error, stream) {
        if (error.name === "AbortError" || stream.controller.signal.aborted) {
            message.finish = "stopped";
            return;
        }
        message.failure = { status: error.status || 0, message: error.message };
        if (!(error instanceof ApiError)) message.failure.message = "The page failed: " + error.message;
        if (error.retry_after_seconds !== null && error.retry_after_seconds !== undefined) {
            message.failure.retry_at = Date.now() + error.retry_after_seconds * 1000;
        }
    }

    message_changed(conversation, stream) {
        if (stream.dropped) return;
        const view = this.views.get(stream.message);
        if (view) view.changed();
        if (Date.now() - stream.saved_at > 2000) {
            stream.saved_at = Date.now();
            this.store.save(conversation);
        }
    }

    ended(conversation, message) {
        conversation.updated = Date.now();
        this.store.save(conversation);
        this.hooks.listed();
        const view = this.views.get(message);
        if (!view) return;
        view.streaming = false;
        view.draw();
        this.state_changed();
        if (!message.failure) announce(message.finish === "stopped" ? "Stopped" : "Answer: " + view.spoken().slice(0, 4000));
        if (message.failure && message.failure.status === 401) this.hooks.key_needed(message.failure.message, () => this.retry(message));
    }

    streaming() {
        return this.streams.has(this.current.id);
    }

    stop() {
        const stream = this.streams.get(this.current.id);
        if (stream) stream.controller.abort();
    }

    // Ends a conversation's stream without a trace: its message is no longer part of the conversation.
    drop_stream(id) {
        const stream = this.streams.get(id);
        if (!stream) return;
        stream.dropped = true;
        stream.controller.abort();
        this.streams.delete(id);
    }

    retry(message) {
        const index = this.current.messages.indexOf(message);
        if (index > 0) this.replace_from(index, []);
    }

    edit(message, text) {
        const index = this.current.messages.indexOf(message);
        if (index >= 0) this.replace_from(index, [{ role: "user", content: text }]);
    }

    // What stood from index on is dropped, but can be had back for some seconds.
    replace_from(index, messages) {
        const conversation = this.current, before = conversation.messages.slice();
        this.drop_stream(conversation.id);
        const dropped = before.slice(index).some((message) => message.role === "assistant" && message.content);
        conversation.messages = before.slice(0, index).concat(messages);
        this.open(conversation);
        this.ask(conversation);
        by_id("prompt").focus();
        if (!dropped) return;
        toast("Earlier answers were replaced.", "Undo", () => {
            this.drop_stream(conversation.id);
            conversation.messages = before;
            this.store.save(conversation);
            if (this.current === conversation) this.open(conversation);
        });
    }

    // The page goes away: what has arrived is kept, and that its requests end with it is no failure of theirs.
    leave() {
        this.leaving = true;
        for (const [id] of this.streams) {
            const conversation = id === this.current.id ? this.current : this.store.conversations.get(id);
            if (conversation) this.store.save(conversation);
        }
    }

    state_changed() {
        const streaming = this.streaming();
        by_id("welcome").hidden = this.current.messages.length > 0;
        by_id("stop").hidden = !streaming;
        by_id("send").hidden = streaming;
        document.title = (this.current.title ? this.current.title.slice(0, 40) + " – " : "") + "Rafter";
    }

    drawn() {
        if (this.stick) this.scroller.scrollTop = this.scroller.scrollHeight;
    }

    to_end() {
        this.stick = true;
        this.scroller.scrollTop = this.scroller.scrollHeight;
        by_id("jump").hidden = true;
    }

    scrolled() {
        const left = this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight;
        this.stick = left < 40;
        by_id("jump").hidden = left < 240;
    }
}
