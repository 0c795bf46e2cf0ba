// The list of conversations: open, rename, export, delete with a way back.
class ConversationList {
    // on_open(): one was chosen.
    constructor(store, chat, on_open) {
        this.store = store;
        this.chat = chat;
        this.on_open = on_open;
        this.renaming = false;
        this.node = by_id("conversation-list");
        by_id("new-conversation").addEventListener("click", () => this.open(this.store.create()));
        by_id("export-all").addEventListener("click", () => download("rafter-conversations.json", exported(this.store.list())));
        this.draw();
    }

    open(conversation) {
        this.chat.open(conversation);
        this.draw();
        this.on_open();
    }

    // Keeps the focus on the same button of the same conversation, and leaves a name that is being typed alone.
    draw() {
        if (this.renaming) return;
        const item = this.node.contains(document.activeElement) ? document.activeElement.closest("li") : null;
        const button = item ? [...item.querySelectorAll("button")].indexOf(document.activeElement) : -1;
        const conversations = this.store.list();
        this.node.replaceChildren(...conversations.map((one) => this.item(one)));
        by_id("export-all").hidden = conversations.length === 0;
        const same = item && [...this.node.children].find((one) => one.dataset.id === item.dataset.id);
        if (same && button >= 0) same.querySelectorAll("button")[button].focus();
    }

    item(conversation) {
        const current = conversation === this.chat.current, title = conversation.title || "New conversation";
        const name = make("button", { type: "button", class: "name", "aria-current": current ? "true" : null, title, onclick: () => this.open(conversation) }, title);
        const acts = make("span", { class: "acts" },
            icon_button("edit", "Rename: " + title, () => this.rename(conversation, item)),
            icon_button("export", "Export as JSON: " + title, () => download("rafter-conversation.json", exported([conversation]))),
            icon_button("delete", "Delete: " + title, () => this.remove(conversation)));
        const item = make("li", { class: current ? "current" : null, "data-id": conversation.id }, name, acts);
        return item;
    }

    rename(conversation, item) {
        const input = make("input", { "aria-label": "Name of the conversation", maxlength: 200 });
        input.value = conversation.title;
        this.renaming = true;
        const close = (keep) => {
            if (!this.renaming) return;
            this.renaming = false;
            if (keep) {
                conversation.renamed = input.value.trim() !== "";
                conversation.title = input.value.trim();
                this.store.save(conversation);
                this.chat.state_changed();
            }
            this.draw();
            const again = this.node.children[this.store.list().indexOf(conversation)];
            if (again) again.querySelector(".name").focus();
        };
        input.addEventListener("keydown", (event) => {
            if (event.key === "Enter" && !event.isComposing) close(true);
            if (event.key === "Escape") {
                event.stopPropagation();
                close(false);
            }
        });
        input.addEventListener("blur", () => close(true));
        item.replaceChildren(input);
        input.focus();
        input.select();
    }

    remove(conversation) {
        this.chat.drop_stream(conversation.id);
        this.store.remove(conversation.id);
        if (this.chat.current === conversation) this.chat.open(this.store.list()[0] || this.store.create());
        this.draw();
        by_id("new-conversation").focus();
        toast("Deleted: " + (conversation.title || "New conversation"), "Undo", () => {
            this.store.save(conversation);
            this.draw();
        });
    }
}
