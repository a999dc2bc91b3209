// Turns dropped or chosen photographs into jobs, one after the other.
import { $, all, problem, put } from "./page.js";

export async function prepareSubmission() {
  const form = $("#submit");
  if (!form) return;
  const offered = async () => (await fetch("/api/v1/recipes")).json();
  form.hidden = false;
  let recipes, isMeasuring;
  try {
    ({ recipes, isMeasuring } = await offered());
  } catch {
    return put($("#time"), "The coordinator does not answer. Reload this page when it is back.");
  }
  const chosen = () => recipes.find((recipe) => recipe.name === $("#recipe").value);
  // The estimate applies only to the recipe as offered.
  const showTime = () => {
    const isOffered = chosen()?.yaml === $("#yaml").value;
    put($("#time"), !isOffered ? "" : chosen().expectedText ?? (isMeasuring ? "measuring how long this recipe takes" : ""));
    for (const recipe of recipes) {
      const option = all("option", $("#recipe")).find((option) => option.value === recipe.name);
      const time = recipe.expectedText ? `, ${recipe.aboutText}` : "";
      put(option, `${recipe.name}${time}: ${recipe.abstract}`);
    }
  };
  const choose = () => { $("#yaml").value = chosen()?.yaml ?? ""; showTime(); };
  $("#recipe").addEventListener("change", choose);
  $("#yaml").addEventListener("input", showTime);
  choose();
  const followTimes = async () => {
    if (!isMeasuring) return;
    try { ({ recipes, isMeasuring } = await offered()); showTime(); } catch { /* The coordinator is away: asks again. */ }
    setTimeout(followTimes, 2000);
  };
  setTimeout(followTimes, 2000);
  $("#files").disabled = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  const drop = $("#drop");
  $("#files").addEventListener("change", (event) => { submit([...event.target.files]); event.target.value = ""; });
  // Accepts files dropped anywhere: the browser would open them instead.
  addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  addEventListener("dragleave", (event) => { if (event.relatedTarget === null) drop.classList.remove("over"); });
  addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); submit([...event.dataTransfer.files]); });
}

async function submit(files) {
  if (!$("#priority").reportValidity()) return;
  for (const file of files) {
    const line = document.createElement("li");
    line.className = "card";
    const picture = document.createElement("img");
    picture.alt = "";
    const text = document.createElement("span");
    text.textContent = `${file.name}: sending ${(file.size / 1024).toFixed(0)} KiB`;
    line.append(text);
    $("#outcomes").prepend(line);
    try {
      const job = await submitOne(file);
      picture.src = `/thumbnails/${job.exemplar}.png`;
      const link = document.createElement("a");
      link.href = `/jobs/${job.id}`;
      link.textContent = job.resultName;
      text.replaceChildren(`${file.name}: ${job.alreadyExisted ? `was submitted before and is ${job.state}` : "accepted"}, `, link);
      line.prepend(picture);
    } catch (error) {
      line.classList.add("wrong");
      text.textContent = `${file.name}: refused: ${error.message}`;
    }
  }
}

async function submitOne(file) {
  const send = async (path, body, type) => {
    const response = await fetch(path, { method: "POST", body, headers: { "Content-Type": type } });
    if (!response.ok) throw new Error(await problem(response));
    return response.json();
  };
  const receipt = await send("/api/v1/exemplars", file, "application/octet-stream");
  const [name, recipeYAML] = [file.name.replace(/\.[^.]*$/, "") || file.name, $("#yaml").value];
  // As in `texloom submit`, the same photograph with the same recipe is the same job.
  const job = { name, fileName: file.name, exemplarSHA256: receipt.sha256, recipeYAML, priority: Number($("#priority").value), once: true };
  if ($("#batch").value.trim()) job.batch = $("#batch").value.trim();
  const then = all("#then input:checked").map((box) => box.value.split(" ")).map(([kind, spec]) => ({ kind, spec }));
  if (then.length) job.then = then;
  const { jobs } = await send("/api/v1/jobs", JSON.stringify({ jobs: [job] }), "application/json");
  return { ...jobs[0], exemplar: receipt.sha256 };
}
