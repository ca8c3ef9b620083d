// What the page needs beside itself: from the command's server, or from the page where it carries everything.

/** Bytes of an address, or of an element of the page that holds them as base64 of gzip. */
export async function payload(from) {
  if (from.address) {
    const answer = await fetch(from.address);
    if (!answer.ok) throw new Error(`${from.address}: the command answers ${answer.status} ${answer.statusText}`);
    return answer.arrayBuffer();
  }
  const text = document.getElementById(from.element).textContent;
  const packed = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/** Mol*, as the object that its bundle leaves in the window. */
export async function loadMolstar(config) {
  const url = config.molstar.address ?? URL.createObjectURL(new Blob([await payload(config.molstar)], { type: "text/javascript" }));
  await new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.onload = resolve;
    script.onerror = () => reject(new Error("Mol* could not be loaded"));
    script.src = url;
    document.head.append(script);
  });
  return window.molstar;
}
