// Passkeys (WebAuthn). A button with data-passkey holds the options for the browser in JSON; the answer goes into the
// field "passkey" of its form, which is then sent as any other. With data-offered the browser also offers its passkeys
// in the address field, which ends when a button is pressed.
{
  const api = window.PublicKeyCredential;
  const message = document.getElementById("meldung");
  const can = (options) => options.user ? api?.parseCreationOptionsFromJSON : api?.parseRequestOptionsFromJSON;
  const here = (host) => location.hostname === host || location.hostname.endsWith(`.${host}`);

  const ask = async (button, options, mediation) => {
    window.passkeyOffer?.abort();
    const { signal } = window.passkeyOffer = new AbortController();
    const publicKey = can(options).call(api, options);
    const asked = { publicKey, signal, ...(mediation && { mediation }) };
    const credential = await navigator.credentials[options.user ? "create" : "get"](asked);
    button.form.elements.passkey.value = JSON.stringify(credential);
    button.form.requestSubmit(button);
  };

  for (const button of document.querySelectorAll("[data-passkey][hidden]")) {
    const options = JSON.parse(button.dataset.passkey);
    if (!can(options) || !here(options.rpId ?? options.rp.id)) continue;
    for (let it = button; it; it = it.parentElement.closest("[hidden]")) it.hidden = false;
    document.querySelector("[data-no-passkey]")?.remove();
    button.form.addEventListener("submit", ({ submitter }) => {
      if (submitter !== button) button.form.elements.passkey.value = "";  // the answer of an earlier try
    }, true);
    button.addEventListener("click", async (event) => {
      event.preventDefault();
      message.textContent = "";
      try {
        await ask(button, options);
      } catch (error) {
        if (error.name !== "AbortError") {
          message.textContent = error.name === "InvalidStateError" ? button.dataset.present : button.dataset.failed;
          button.focus();
          button.scrollIntoView({ block: "center" });  // the message stands at the end of the window, before the button
        }
      }
    });
    if ("offered" in button.dataset) {
      api.isConditionalMediationAvailable?.().then((available) => {
        if (available) ask(button, options, "conditional").catch(() => {});
      });
    }
  }
}
