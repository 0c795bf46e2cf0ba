// Ties the page together: theme, tabs and drawer, the box to write in, settings, the key, other tabs of the browser.
const kThemeItem = "rafter.theme";
const kThemes = ["auto", "light", "dark"];
const kExamples = [
    "Explain in three sentences why decoding is bound by memory bandwidth.",
    "Write a Python function that merges two sorted lists.",
    "Compare tea and coffee in a table.",
];

function set_up_theme() {
    let theme = "auto";
    try {
        theme = localStorage.getItem(kThemeItem) || "auto";
    } catch {
        // as the system has it
    }
    const apply = () => {
        if (theme === "auto") delete document.documentElement.dataset.theme;
        else document.documentElement.dataset.theme = theme;
        const label = "Colours: " + { auto: "as the system", light: "light", dark: "dark" }[theme];
        set(by_id("theme"), { "aria-label": label, title: label });
    };
    if (!kThemes.includes(theme)) theme = "auto";
    apply();
    by_id("theme").addEventListener("click", () => {
        theme = kThemes[(kThemes.indexOf(theme) + 1) % kThemes.length];
        apply();
        announce(by_id("theme").title);
        try {
            localStorage.setItem(kThemeItem, theme);
        } catch {
            // for this visit only
        }
    });
}

// On a narrow screen chat and roofline are tabs; role="tabpanel" is theirs only there.
function set_up_tabs(on_change) {
    const tabs = ["chat", "machine"].map((name) => ({ name, tab: by_id("tab-" + name), panel: by_id(name) }));
    const narrow = matchMedia("(max-width: 859px)");
    const show = (name) => {
        document.body.dataset.view = name;
        for (const one of tabs) set(one.tab, { "aria-selected": String(one.name === name), tabindex: one.name === name ? "0" : "-1" });
        on_change();
    };
    const roles = () => {
        for (const one of tabs) set(one.panel, { role: narrow.matches ? "tabpanel" : null });
        on_change();
    };
    tabs.forEach((one, i) => {
        one.tab.addEventListener("click", () => show(one.name));
        one.tab.addEventListener("keydown", (event) => {
            if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
            show(tabs[1 - i].name);
            tabs[1 - i].tab.focus();
        });
    });
    narrow.addEventListener("change", roles);
    show("chat");
    roles();
    return show;
}

function set_up_drawer() {
    const drawer = by_id("conversations"), button = by_id("open-conversations");
    const toggle = (open) => {
        drawer.classList.toggle("open", open);
        button.setAttribute("aria-expanded", String(open));
    };
    button.addEventListener("click", () => {
        toggle(!drawer.classList.contains("open"));
        if (drawer.classList.contains("open")) by_id("new-conversation").focus({ preventScroll: true });
    });
    document.addEventListener("pointerdown", (event) => {
        if (!drawer.contains(event.target) && !button.contains(event.target)) toggle(false);
    });
    drawer.addEventListener("keydown", (event) => {
        if (event.key !== "Escape" || !drawer.classList.contains("open")) return;
        event.stopPropagation();
        toggle(false);
        button.focus();
    });
    drawer.addEventListener("focusout", (event) => {
        if (event.relatedTarget && !drawer.contains(event.relatedTarget) && event.relatedTarget !== button) toggle(false);
    });
    return () => toggle(false);
}

function set_up_composer(chat) {
    const prompt = by_id("prompt");
    const fit = () => {
        by_id("send").disabled = prompt.value.trim() === "";
        if (CSS.supports("field-sizing", "content")) return;
        prompt.style.height = "auto";
        prompt.style.height = prompt.scrollHeight + 2 + "px";
    };
    const send = () => {
        if (!chat.send(prompt.value)) return;
        prompt.value = "";
        fit();
    };
    prompt.addEventListener("input", fit);
    prompt.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        send();
    });
    by_id("composer").addEventListener("submit", (event) => {
        event.preventDefault();
        send();
    });
    const stop = () => {
        chat.stop();
        prompt.focus();
    };
    by_id("stop").addEventListener("click", stop);
    document.addEventListener("keydown", (event) => {
        if (event.key === "Escape" && chat.streaming() && !document.querySelector("dialog[open]")) stop();
    });
    by_id("examples").append(...kExamples.map((text) => make("button", { type: "button", onclick: () => {
        prompt.value = text;
        fit();
        prompt.focus();
    } }, text)));
    fit();
}

function set_up_settings(chat, store, on_saved) {
    const dialog = by_id("settings"), problem = by_id("settings-problem");
    const numbers = [["temperature", "set-temperature", 0, 100, false], ["top_p", "set-top-p", 0, 1, false], ["max_tokens", "set-max-tokens", 1, 1e9, true], ["seed", "set-seed", -9007199254740991, 9007199254740991, true]];
    by_id("open-settings").addEventListener("click", () => {
        by_id("set-system").value = chat.settings.system;
        for (const [name, id] of numbers) by_id(id).value = chat.settings[name] === null ? "" : chat.settings[name];
        by_id("set-key").value = api_key();
        if (chat.settings.model) by_id("set-model").value = chat.settings.model;
        problem.textContent = "";
        dialog.showModal();
    });
    by_id("settings-cancel").addEventListener("click", () => dialog.close());
    dialog.querySelector("form").addEventListener("submit", (event) => {
        event.preventDefault();
        const settings = { ...kNoSettings, system: by_id("set-system").value.trim() };
        for (const [name, id, low, high, is_whole] of numbers) {
            const value = setting_number(by_id(id).value, low, high, is_whole);
            if (value === undefined) {
                const label = dialog.querySelector(`label[for="${id}"]`).textContent;
                problem.textContent = `${label}: expected ${is_whole ? "a whole number" : "a number"} from ${low} to ${high}.`;
                by_id(id).focus();
                return;
            }
            settings[name] = value;
        }
        if (!by_id("model-field").hidden) settings.model = by_id("set-model").value;
        chat.settings = settings;
        store.save_settings(settings);
        set_api_key(by_id("set-key").value.trim());
        dialog.close();
        on_saved();
    });
}

function set_up_key_dialog() {
    const dialog = by_id("key-dialog"), input = by_id("key-input");
    let waiting = [];  // what to do once there is a key
    by_id("key-cancel").addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => { waiting = []; });
    dialog.querySelector("form").addEventListener("submit", (event) => {
        event.preventDefault();
        if (!input.value.trim()) return;
        set_api_key(input.value.trim());
        const runs = waiting;
        dialog.close();
        for (const run of runs) run();
    });
    return (message, run) => {
        waiting.push(run);
        if (dialog.open) return;
        by_id("key-message").textContent = message;
        input.value = "";
        dialog.showModal();
    };
}

// Another tab of this browser saved or deleted a conversation.
function follow_other_tabs(store, chat, list) {
    addEventListener("storage", (event) => {
        if (!event.key || !event.key.startsWith(kItemPrefix)) return;
        const id = event.key.slice(kItemPrefix.length), mine = store.conversations.get(id);
        if (chat.streams.has(id)) return;  // what streams here is newer
        if (event.newValue === null) store.conversations.delete(id);
        else if (!store.take(event.newValue)) return;
        if (mine && mine === chat.current) chat.open(store.conversations.get(id) || store.create());
        list.draw();
    });
}

async function read_models(chat, show_model, key_needed) {
    try {
        const list = await (await ask_server("/v1/models")).json();
        const ids = (Array.isArray(list.data) ? list.data : []).map((model) => String(model.id));
        if (!ids.length) return;
        chat.server_model = ids[0];
        if (chat.settings.model && !ids.includes(chat.settings.model)) chat.settings.model = null;
        show_model(chat.settings.model || ids[0]);
        by_id("model-field").hidden = ids.length < 2;
        by_id("set-model").replaceChildren(...ids.map((id) => make("option", { value: id }, id)));
    } catch (error) {
        if (error.status === 401) key_needed(error.message, () => read_models(chat, show_model, key_needed));
    }
}

function main() {
    set_up_theme();
    const store = new Store((text) => {
        const shown = text || "Kept in this browser only.", kept = by_id("kept");
        if (kept.textContent === shown) return;
        kept.textContent = shown;
        kept.classList.toggle("problem", text !== "");
        if (text) toast(text);
    });
    const key_dialog = set_up_key_dialog();
    let list = null, view = null;
    const key_needed = (message, again) => key_dialog(message, () => {
        again();
        models();
        if (view) view.wake();
    });
    const chat = new Chat(store, { listed: () => list && list.draw(), key_needed });
    const close_drawer = set_up_drawer();
    let show_tab = () => {};
    list = new ConversationList(store, chat, () => {
        close_drawer();
        show_tab("chat");
        by_id("prompt").focus();
    });
    const show_model = (name) => {
        if (by_id("model").textContent === name) return;
        by_id("model").textContent = name;
        by_id("welcome-title").textContent = "Ask " + name;
    };
    const models = () => read_models(chat, show_model, key_needed);
    view = new RooflineView({ key_needed, model: (name) => by_id("model").textContent || show_model(name) });
    show_tab = set_up_tabs(() => view.wake());
    set_up_composer(chat);
    set_up_settings(chat, store, () => {
        models();
        view.wake();
    });
    follow_other_tabs(store, chat, list);
    addEventListener("pagehide", () => chat.leave());
    addEventListener("pageshow", () => { chat.leaving = false; });
    models();
    by_id("prompt").focus();
}

main();
