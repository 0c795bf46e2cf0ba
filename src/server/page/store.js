// Conversations and settings in the browser's storage, one item a conversation. Storage can be full, forbidden, or hold anything: then the page
// goes on with what it has in memory and says so.
const kItemPrefix = "rafter.conversation.";
const kSettingsItem = "rafter.settings";
const kNoSettings = { system: "", temperature: null, top_p: null, max_tokens: null, seed: null, model: null };

function checked_message(value) {
    if (!value || (value.role !== "user" && value.role !== "assistant") || typeof value.content !== "string") return null;
    const message = { role: value.role, content: value.content };
    if (typeof value.finish === "string") message.finish = value.finish;
    if (value.facts && typeof value.facts === "object") message.facts = value.facts;
    if (value.failure && typeof value.failure.message === "string") {
        message.failure = { status: Number(value.failure.status) || 0, message: value.failure.message };
    }
    return message;
}

function checked_conversation(value) {
    if (!value || typeof value.id !== "string" || !/^[\w-]{1,64}$/.test(value.id) || !Array.isArray(value.messages)) return null;
    return {
        id: value.id,
        title: typeof value.title === "string" ? value.title.slice(0, 200) : "",
        renamed: value.renamed === true,
        updated: Number(value.updated) || 0,
        messages: value.messages.map(checked_message).filter((message) => message !== null),
    };
}

class Store {
    // on_problem(text): storage does not keep what it is given; "" when it does again.
    constructor(on_problem) {
        this.on_problem = on_problem;
        this.conversations = new Map();
        try {
            for (let i = 0; i < localStorage.length; ++i) {
                const key = localStorage.key(i);
                if (key.startsWith(kItemPrefix)) this.take(localStorage.getItem(key));
            }
        } catch {
            on_problem("This browser keeps nothing for this page: conversations last until the tab is closed.");
        }
    }

    take(text) {
        let value = null;
        try {
            value = checked_conversation(JSON.parse(text));
        } catch {
            // not ours, or damaged: left where it is
        }
        if (value) this.conversations.set(value.id, value);
        return value;
    }

    // Newest first.
    list() {
        return [...this.conversations.values()].sort((a, b) => b.updated - a.updated);
    }

    create() {
        const bytes = crypto.getRandomValues(new Uint8Array(12));
        const id = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
        return { id, title: "", renamed: false, updated: Date.now(), messages: [] };
    }

    save(conversation) {
        this.conversations.set(conversation.id, conversation);
        if (!conversation.renamed) {
            const first = conversation.messages.find((message) => message.role === "user");
            conversation.title = first ? first.content.trim().replace(/\s+/g, " ").slice(0, 60) : "";
        }
        this.write(kItemPrefix + conversation.id, JSON.stringify(conversation));
    }

    remove(id) {
        this.conversations.delete(id);
        try {
            localStorage.removeItem(kItemPrefix + id);
            this.on_problem("");
        } catch {
            // it was never kept
        }
    }

    write(key, text) {
        try {
            localStorage.setItem(key, text);
            this.on_problem("");
        } catch (error) {
            const full = error.name === "QuotaExceededError" || error.name === "NS_ERROR_DOM_QUOTA_REACHED";
            this.on_problem(full ? "The browser's storage is full. Export or delete conversations: what is new lasts until the tab is closed."
                                 : "This browser keeps nothing for this page: conversations last until the tab is closed.");
        }
    }

    settings() {
        let stored = {};
        try {
            stored = JSON.parse(localStorage.getItem(kSettingsItem)) || {};
        } catch {
            // the defaults
        }
        const settings = { ...kNoSettings };
        for (const [name, none] of Object.entries(kNoSettings)) {
            const fits = none === "" || name === "model" ? typeof stored[name] === "string" : Number.isFinite(stored[name]);
            if (fits) settings[name] = stored[name];
        }
        return settings;
    }

    save_settings(settings) {
        this.write(kSettingsItem, JSON.stringify(settings));
    }
}

// A number that fits, null for an empty field, or undefined for anything else.
function setting_number(text, low, high, is_whole) {
    if (text.trim() === "") return null;
    const value = Number(text.trim().replace(",", "."));
    return Number.isFinite(value) && value >= low && value <= high && (!is_whole || Number.isInteger(value)) ? value : undefined;
}

function exported(conversations) {
    return JSON.stringify({ format: "rafter.conversations", version: 1, conversations }, null, 2) + "\n";
}
