// Every sentence of the room page, in English and Arabic. A missing Arabic text falls back to English.
const ENGLISH = {
  title: "Room", online: "online", seat: "Seat", empty: "Empty seat", locked: "Locked seat", owner: "Owner", admin: "Admin",
  member: "Member", guest: "Guest", away: "away", muted: "muted", speaking: "speaking", you: "you",
  say: "Say something", send: "Send", chat: "Chat", close: "Close", cancel: "Cancel", gift: "Send a gift", gifts: "Gifts",
  quantity: "Quantity", to: "To", everyone: "Everyone seated", balance: "Coins", diamonds: "Diamonds", combo: "combo",
  take: "Take a seat", leave: "Leave the seat", request: "Ask for a seat", withdraw: "Withdraw the request", talk: "Turn the microphone on",
  hush: "Turn the microphone off", leave_room: "Leave the room", language: "العربية", people: "People", requests: "Requests",
  accept: "Accept", reject: "Decline", invite_text: "You are invited to seat", mute_user: "Mute", unmute_user: "Lift the mute",
  ask_unmute: "Ask to speak", seat_kick: "Remove from the seat", kick: "Remove from the room", ban: "Ban", make_admin: "Make admin",
  make_member: "Make member", lock: "Lock the seat", unlock: "Unlock the seat", mute_seat: "Mute the seat", unmute_seat: "Unmute the seat",
  invite: "Invite to a seat", move_here: "Move here", mode: "Sound", mode_mediasoup: "mediasoup-client", mode_offer: "offer and answer",
  reconnecting: "Connection lost. Reconnecting…", ended: "You have left the room", closed: "This room is closed",
  enter: "Enter the room", name: "Your name", token: "Room token", token_help: "Open the link from the server's start, or paste a token.",
  password: "Password", connected: "Connected", quality_good: "Good connection", quality_fair: "Fair connection", quality_bad: "Poor connection",
  no_microphone: "No microphone. Browsers give one only to https pages and to localhost.", hear: "Tap to hear the room",
  asked_unmute: "You are asked to turn your microphone on.", sent: "sent", share: "Share this room", joined: "joined", left: "left",
  no_gifts: "No gifts in the catalogue yet.", delete: "Delete", mute_chat: "Mute in chat", settings: "Room settings", free: "Free seats",
  by_request: "Seats by request", seat_mode: "Seats", save: "Save", close_room: "Close the room", announcement: "Announcement", room_name: "Room name",
};

const ARABIC = {
  title: "الغرفة", online: "متصل", seat: "مقعد", empty: "مقعد فارغ", locked: "مقعد مقفل", owner: "المالك", admin: "مشرف",
  member: "عضو", guest: "زائر", away: "غائب", muted: "صامت", speaking: "يتحدث", you: "أنت",
  say: "اكتب شيئًا", send: "إرسال", chat: "الدردشة", close: "إغلاق", cancel: "إلغاء", gift: "أرسل هدية", gifts: "الهدايا",
  quantity: "الكمية", to: "إلى", everyone: "كل الجالسين", balance: "العملات", diamonds: "الألماس", combo: "متتالية",
  take: "اجلس", leave: "غادر المقعد", request: "اطلب مقعدًا", withdraw: "اسحب الطلب", talk: "شغّل الميكروفون",
  hush: "أوقف الميكروفون", leave_room: "غادر الغرفة", language: "English", people: "الأشخاص", requests: "الطلبات",
  accept: "قبول", reject: "رفض", invite_text: "أنت مدعو إلى المقعد", mute_user: "كتم", unmute_user: "رفع الكتم",
  ask_unmute: "اطلب منه التحدث", seat_kick: "أنزله من المقعد", kick: "أخرجه من الغرفة", ban: "حظر", make_admin: "اجعله مشرفًا",
  make_member: "اجعله عضوًا", lock: "اقفل المقعد", unlock: "افتح المقعد", mute_seat: "اكتم المقعد", unmute_seat: "ارفع كتم المقعد",
  invite: "ادعُ إلى مقعد", move_here: "انتقل هنا", mode: "الصوت", mode_mediasoup: "mediasoup-client", mode_offer: "عرض وجواب",
  reconnecting: "انقطع الاتصال. تتم إعادة الاتصال…", ended: "لقد غادرت الغرفة", closed: "هذه الغرفة مغلقة",
  enter: "ادخل الغرفة", name: "اسمك", token: "رمز الغرفة", token_help: "افتح الرابط الذي يعرضه الخادم عند بدئه، أو الصق رمزًا.",
  password: "كلمة المرور", connected: "متصل", quality_good: "اتصال جيد", quality_fair: "اتصال متوسط", quality_bad: "اتصال ضعيف",
  no_microphone: "لا يوجد ميكروفون. المتصفح يتيحه لصفحات https و localhost فقط.", hear: "المس لتسمع الغرفة",
  asked_unmute: "يُطلب منك تشغيل الميكروفون.", sent: "أرسل", share: "شارك الغرفة", joined: "انضم", left: "غادر",
  no_gifts: "لا توجد هدايا بعد.", delete: "حذف", mute_chat: "كتم في الدردشة", settings: "إعدادات الغرفة", free: "المقاعد حرة",
  by_request: "المقاعد بالطلب", seat_mode: "المقاعد", save: "حفظ", close_room: "أغلق الغرفة", announcement: "إعلان", room_name: "اسم الغرفة",
};

const REFUSALS = {
  en: { SEAT_OCCUPIED: "That seat is taken.", SEAT_LOCKED: "That seat is locked.", SEAT_MODE_REQUEST: "Ask for a seat first.",
    SEAT_COOLDOWN: "Wait a moment before you sit down again.", CHAT_MUTED: "You are muted in the chat.", CHAT_TOO_FAST: "Slow mode is on. Wait a moment.",
    CHAT_DISABLED: "The chat is off.", INSUFFICIENT_FUNDS: "Not enough coins.", RATE_LIMITED: "Too fast. Try again in a moment.",
    MIC_LOCKED_BY_ADMIN: "A moderator has muted you.", MIC_LOCKED_BY_SEAT: "This seat is muted.", BANNED: "You are banned from this room.",
    TOKEN_EXPIRED: "Your token has expired. Open a fresh link.", TOKEN_INVALID: "This token is not valid. Open a fresh link.",
    ROOM_FULL: "The room is full.", PASSWORD_REQUIRED: "This room has a password.", PASSWORD_WRONG: "Wrong password.", UNAVAILABLE: "The server is busy. Trying again.",
    ROOM_NOT_FOUND: "There is no such room.", ROOM_CLOSED: "This room is closed.", FORBIDDEN: "You may not do that.", FORBIDDEN_TARGET: "Not towards this person.",
    KICKED_KICKED: "You were removed from the room.", KICKED_BANNED: "You were banned from the room.", KICKED_OTHER_DEVICE: "You joined from another device.",
    KICKED_TOKEN_EXPIRED: "Your token has expired.", KICKED_ROOM_CLOSED: "The room was closed." },
  ar: { SEAT_OCCUPIED: "هذا المقعد مشغول.", SEAT_LOCKED: "هذا المقعد مقفل.", SEAT_MODE_REQUEST: "اطلب مقعدًا أولًا.",
    SEAT_COOLDOWN: "انتظر قليلًا قبل الجلوس مجددًا.", CHAT_MUTED: "أنت مكتوم في الدردشة.", CHAT_TOO_FAST: "انتظر لحظة.",
    CHAT_DISABLED: "الدردشة مغلقة.", INSUFFICIENT_FUNDS: "العملات لا تكفي.", RATE_LIMITED: "حاول بعد لحظة.",
    MIC_LOCKED_BY_ADMIN: "كتمك أحد المشرفين.", MIC_LOCKED_BY_SEAT: "هذا المقعد مكتوم.", BANNED: "أنت محظور من هذه الغرفة.",
    TOKEN_EXPIRED: "انتهت صلاحية الرمز.", TOKEN_INVALID: "الرمز غير صالح.", ROOM_FULL: "الغرفة ممتلئة.", PASSWORD_REQUIRED: "للغرفة كلمة مرور.",
    PASSWORD_WRONG: "كلمة المرور خاطئة.", UNAVAILABLE: "الخادم مشغول.", ROOM_NOT_FOUND: "لا توجد غرفة بهذا الاسم.", ROOM_CLOSED: "الغرفة مغلقة.",
    FORBIDDEN: "لا يمكنك ذلك.", FORBIDDEN_TARGET: "ليس مع هذا الشخص.", KICKED_KICKED: "تم إخراجك من الغرفة.", KICKED_BANNED: "تم حظرك من الغرفة.",
    KICKED_OTHER_DEVICE: "انضممت من جهاز آخر.", KICKED_TOKEN_EXPIRED: "انتهت صلاحية الرمز.", KICKED_ROOM_CLOSED: "أُغلقت الغرفة." },
};

export function textsFor(language) {
  const texts = language === "ar" ? { ...ENGLISH, ...ARABIC } : ENGLISH;
  return { ...texts, lang: language, direction: language === "ar" ? "rtl" : "ltr",
    refusal: (error) => REFUSALS[language][error.code] ?? REFUSALS.en[error.code] ?? error.message };
}
