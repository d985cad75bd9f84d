// The views of the page: the face, and panels that take all of it. Which one is shown stands in the address.

export class Views {
  constructor(usual) {
    this.usual = usual;
    this.buttons = [...document.querySelectorAll("[data-go]")];
    for (const button of this.buttons) button.addEventListener("click", () => this.show(button.dataset.go));
    window.addEventListener("hashchange", () => this.follow());
    this.follow();
  }

  follow() {
    const wanted = location.hash.slice(1);
    this.put(this.buttons.some((button) => button.dataset.go === wanted) ? wanted : this.usual);
  }

  show(name) {
    history.replaceState(null, "", name === this.usual ? location.pathname : `#${name}`);
    this.put(name);
  }

  put(name) {
    document.body.dataset.view = name;
    document.dispatchEvent(new CustomEvent("view", { detail: name }));
    for (const place of document.querySelectorAll("[data-view-of]")) place.hidden = place.dataset.viewOf !== name;
    for (const button of this.buttons) {
      if (button.dataset.go === name) button.setAttribute("aria-current", "page");
      else button.removeAttribute("aria-current");
    }
    window.scrollTo(0, 0);
  }
}
