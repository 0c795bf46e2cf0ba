// Server-sent events from a fetch's body: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
class EventParser {
    constructor() {
        this.rest = "";  // the unfinished line
        this.event = "";
        this.data = null;  // lines so far, joined; null: none yet
        this.skip_newline = false;  // the last text ended with \r, whose \n may begin the next
    }

    // The events that this text completes: [{event, data}].
    push(text) {
        if (text === "") return [];
        if (this.skip_newline && text.startsWith("\n")) text = text.slice(1);
        this.skip_newline = text.endsWith("\r");
        const lines = (this.rest + text).split(/\r\n|\r|\n/);
        this.rest = lines.pop();
        const events = [];
        for (const line of lines) this.line(line, events);
        return events;
    }

    line(line, events) {
        if (line === "") {
            if (this.data !== null) events.push({ event: this.event || "message", data: this.data });
            this.event = "";
            this.data = null;
            return;
        }
        const colon = line.indexOf(":");
        if (colon === 0) return;  // a comment: the server's sign of life
        const field = colon < 0 ? line : line.slice(0, colon);
        let value = colon < 0 ? "" : line.slice(colon + 1);
        if (value.startsWith(" ")) value = value.slice(1);
        if (field === "data") this.data = this.data === null ? value : this.data + "\n" + value;
        else if (field === "event") this.event = value;
    }
}

async function* read_events(response) {
    const reader = response.body.getReader(), decoder = new TextDecoder(), parser = new EventParser();
    try {
        for (;;) {
            const { value, done } = await reader.read().catch((error) => {
                throw error.name === "AbortError" ? error : new ApiError(0, "The connection broke before the answer was complete.");
            });
            yield* parser.push(done ? decoder.decode() : decoder.decode(value, { stream: true }));
            if (done) return;
        }
    } finally {
        reader.cancel().catch(() => {});  // of a reader that stopped early: the connection is closed, and the server stops computing
    }
}
