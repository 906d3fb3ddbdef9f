// The page in Spanish, by what it says in English; {name} stands for something else.

const SPANISH = {
  // index.html
  "SMS simulator": "Simulador de SMS",
  "Skip to the handsets": "Ir a los teléfonos",
  "Phones, and a stand-in for the carrier between them and the service. No text leaves this computer.":
    "Teléfonos, y lo que hace de operadora entre ellos y el servicio. Ningún mensaje sale de este ordenador.",
  "Operator’s desk": "Mesa del operador",
  "API": "API",
  "Elsewhere": "En otro lugar",
  "connecting": "conectando",
  "Add a handset": "Añadir un teléfono",
  "Start over": "Empezar de nuevo",
  "The simulator does not answer.": "El simulador no responde.",
  "Start it again with": "Arránquelo otra vez con",
  "This page goes on by itself, and keeps what you type.": "Esta página sigue por sí sola y conserva lo que escriba.",
  "Open a chat between these two phones": "Abra un chat entre estos dos teléfonos",
  "Paste this in a terminal. Each phone then gets an introduction from a virtual number, and whatever one of them texts to it arrives on the other.":
    "Pegue esto en una terminal. Cada teléfono recibe entonces una presentación desde un número virtual, y lo que uno le escriba llega al otro.",
  "Copy": "Copiar",
  "Traffic": "Tráfico",
  "↓ from the service, ↑ to it": "↓ del servicio, ↑ hacia él",
  "Traffic, newest first": "Tráfico, lo más reciente primero",
  "Nothing yet. Every request and webhook appears here, with its body.":
    "Todavía nada. Aquí aparece cada petición y cada webhook, con su contenido.",
  "Faults": "Averías",
  "The carrier behaves": "La operadora funciona bien",
  "Phone number, with + and country code": "Número de teléfono, con + y prefijo del país",
  "+ and 7 to 15 digits, such as +14155550125": "+ y de 7 a 15 cifras, como +14155550125",
  "+ and 7 to 15 digits, such as +14155550100": "+ y de 7 a 15 cifras, como +14155550100",
  "Cancel": "Cancelar",
  "Add": "Añadir",
  "Start over?": "¿Empezar de nuevo?",
  "The simulator forgets all texts, traffic and faults, and the webhooks it still has to deliver. The service keeps its chats.":
    "El simulador olvida todos los mensajes, el tráfico y las averías, y los webhooks que aún tiene que entregar. El servicio conserva sus chats.",
  "Forget all of it": "Olvidarlo todo",
  "Close": "Cerrar",
  "Remove this handset": "Quitar este teléfono",
  "Threads": "Conversaciones",
  "To: +14155550100": "Para: +14155550100",
  "Virtual number to text to": "Número virtual al que escribir",
  "To be sent along": "Se envía también",
  "Attach pictures or files": "Adjuntar imágenes o archivos",
  "Attach pictures or files; they can be dropped and pasted too":
    "Adjuntar imágenes o archivos; también se pueden arrastrar y pegar",
  "Text message": "Mensaje de texto",
  "Send": "Enviar",
  // app.js
  "live": "en directo",
  "reconnecting": "reconectando",
  "Copied": "Copiado",
  "Selected": "Seleccionado",
  // handsets.js
  "Handset {number}": "Teléfono {number}",
  "Text to another number": "Escribir a otro número",
  "No thread": "Ninguna conversación",
  "Texts with {number}": "Mensajes con {number}",
  "No texts yet. Open a chat, or text to a virtual number yourself.":
    "Todavía no hay mensajes. Abra un chat, o escriba usted a un número virtual.",
  "No texts with {number} yet.": "Todavía no hay mensajes con {number}.",
  "Not sent: {reason}": "No enviado: {reason}",
  "The simulator answered {status}.": "El simulador respondió {status}.",
  // bubbles.js
  "accepted from the service": "aceptado del servicio",
  "the service was told: submitted": "al servicio se le dijo: en camino (submitted)",
  "the service was told: delivered": "al servicio se le dijo: entregado (delivered)",
  "the service was told: {status}": "al servicio se le dijo: {status}",
  "no answer": "sin respuesta",
  "will be tried again; last: {answer}": "se intentará de nuevo; lo último: {answer}",
  "on its way": "en camino",
  "lost; last: {answer}": "perdido; lo último: {answer}",
  "taken by the service": "lo tomó el servicio",
  // attachments.js
  "Picture": "Imagen",
  "Audio": "Sonido",
  "Video": "Vídeo",
  "Contact card": "Tarjeta de contacto",
  "File": "Archivo",
  "could not be fetched": "no se pudo recoger",
  "is being fetched …": "se está recogiendo …",
  "Enlarge {name}": "Ampliar {name}",
  "Do not send {name}": "No enviar {name}",
  // traffic.js
  "request from the service": "petición del servicio",
  "fetched from the service": "recogido del servicio",
  "webhook to the service": "webhook al servicio",
  "none": "ninguno",
  // faults.js
  "{count} in force": "{count} en vigor",
  "{count} on": "{count} en vigor",
  "strikes": "ocurre",
  "every time": "siempre",
  "once": "una vez",
  "{count} times": "{count} veces",
  // account.js
  "Account": "Cuenta",
  "What the service asks for besides texts": "Lo que el servicio pregunta aparte de los mensajes",
  "Numbers of the account": "Números de la cuenta",
  "Balance, EUR": "Saldo, EUR",
  "Answer questions about it with": "Responder a sus preguntas con",
  "Another number": "Otro número",
  "Take {number} from the account": "Quitar {number} de la cuenta",
  "Attached pictures and files become": "Las imágenes y archivos adjuntos envejecen",
  "{count} h older": "{count} h",
  // fault_list.js
  "{count} a second": "{count} por segundo",
  "by": "con",
  "of": "de",
  "all webhooks": "todos los webhooks",
  "signed": "firmado",
  "Requests": "Peticiones",
  "Answer requests with": "Responder a las peticiones con",
  "Answer after": "Responder al cabo de",
  "Answer after up to": "Responder al cabo de hasta",
  "429 above, per number": "429 a partir de, por número",
  "segments count": "cuentan los segmentos",
  "429 above, in all": "429 a partir de, en total",
  "Hang up before reading": "Colgar antes de leer",
  "the text is not accepted": "el mensaje no se acepta",
  "Accept, then hang up": "Aceptar y luego colgar",
  "the service cannot know": "el servicio no puede saberlo",
  "Accept with an empty answer": "Aceptar con una respuesta vacía",
  "Receipts": "Acuses de recibo",
  "End texts as": "Terminar los mensajes como",
  "the last four in the SMS API’s format only": "los cuatro últimos solo en el formato de la API de SMS",
  "with error": "con el error",
  "Confirm some segments only": "Confirmar solo algunos segmentos",
  "and end as rejected, 1490": "y terminar como rejected, 1490",
  "confirmed": "confirmados",
  "half": "la mitad",
  "Opt-Out Assist": "Opt-Out Assist (bajas)",
  "STOP is answered, and blocks the pair with 1240": "STOP se contesta, y bloquea la pareja con 1240",
  "Leave receipts out": "Omitir los acuses",
  "which": "cuáles",
  "both": "ambos",
  "Send receipts before the answer": "Enviar los acuses antes de la respuesta",
  "Send receipts in the wrong order": "Enviar los acuses desordenados",
  "Send receipts twice": "Enviar los acuses dos veces",
  "Send receipts later by": "Retrasar los acuses",
  "Webhooks": "Webhooks y firmas",
  "Send every webhook twice": "Enviar cada webhook dos veces",
  "Do not sign": "No firmar",
  "Sign with a wrong secret": "Firmar con un secreto equivocado",
  "Sign another body": "Firmar otro contenido",
  "Sign with a clock that is off by": "Firmar con un reloj desviado",
  "Write error codes as integers": "Escribir los códigos de error como enteros",
  "Write total_count for count_total": "Escribir total_count en vez de count_total",
  "Leave out message_type": "Omitir message_type",
  "Say “unsupported” for every text": "Decir «unsupported» de cada mensaje",
  "Write timestamps with milliseconds": "Escribir las horas con milisegundos",
  "Texts in the SMS API’s format": "Mensajes en el formato de la API de SMS",
  "parts": "partes",
  "whole": "entero",
  "Receipts in the SMS API’s format": "Acuses en el formato de la API de SMS",
  "Pictures and files": "Imágenes y archivos",
  "Ask for the application’s token": "Pedir el token de la aplicación",
  "Answer fetches with": "Responder a las descargas con",
  "Never answer a fetch": "No responder nunca a una descarga",
  "Drip, a second": "A gotas, por segundo",
  "Redirect to another host": "Redirigir a otro servidor",
  "Call everything": "Decir que todo es",
  "Pad to": "Rellenar hasta",
  "announced": "anunciado",
  "Hang up halfway": "Colgar a medio camino",
};

// ?lang=es or ?lang=en says more than the browser.
const asked = [new URLSearchParams(location.search).get("lang"), ...navigator.languages];
const known = asked.map((tag) => (tag ?? "").toLowerCase().split("-")[0]).filter((tag) => ["en", "es"].includes(tag));
export const language = known[0] ?? "en";

export function say(words, values = {}) {
  const said = (language === "es" && SPANISH[words]) || words;
  return said.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// Says all that stands in the page as it was loaded, and in its templates.
export function translatePage() {
  document.documentElement.lang = language;
  document.title = say(document.title);
  const templates = [...document.querySelectorAll("template")].map((template) => template.content);
  for (const root of [document.body, ...templates]) translate(root);
}

function translate(root) {
  const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const words = texts.currentNode.data.trim().replace(/\s+/g, " ");
    if (words in SPANISH) texts.currentNode.data = say(words);
  }
  for (const element of root.querySelectorAll("[aria-label], [title], [placeholder]")) {
    for (const name of ["aria-label", "title", "placeholder"]) {
      if (element.hasAttribute(name)) element.setAttribute(name, say(element.getAttribute(name)));
    }
  }
}
