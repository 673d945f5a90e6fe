/*
 * A PKCS#11 module with faults on request. It loads the module named in FAULTY_MODULE and hands each call on to
 * it, except where a rule in FAULTS says otherwise: FUNCTION=FAULT or FUNCTION=FAULT:NUMBER, with blanks between
 * the rules.
 *
 * It takes the function list of PKCS#11 v2.40 for what it is on 64-bit Linux: pointers behind a version, to
 * functions whose arguments all go in registers.
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

typedef unsigned long ulong;
typedef ulong (*function)(ulong, ulong, ulong, ulong, ulong);
typedef struct { ulong version; function functions[68]; } function_list;
typedef struct { ulong type; unsigned char *value; ulong length; } attribute;
typedef struct { char texts[96]; ulong flags; } token_info;

enum { CKR_OK, CKR_ATTRIBUTE_TYPE_INVALID = 0x12, CKR_USER_NOT_LOGGED_IN = 0x101 };
enum { CKA_CLASS, CKA_TOKEN, CKA_LABEL = 3, CKA_VALUE = 0x11, CKA_SUBJECT = 0x101, CKA_ID, CKA_EC_POINT = 0x181 };
enum { CKO_CERTIFICATE = 1, CKF_RW_SESSION = 2, CKU_CONTEXT_SPECIFIC = 2, CKA_YUBICO_TOUCH_POLICY = 0xd9554201 };

/* What this module looks at, with its place in the function list. */
#define FUNCTIONS(F) \
  F(0, C_Initialize) F(1, C_Finalize) F(2, C_GetInfo) F(4, C_GetSlotList) F(5, C_GetSlotInfo) \
  F(6, C_GetTokenInfo) F(7, C_GetMechanismList) F(10, C_InitPIN) F(12, C_OpenSession) F(18, C_Login) F(19, C_Logout) \
  F(20, C_CreateObject) F(24, C_GetAttributeValue) F(26, C_FindObjectsInit) F(27, C_FindObjects) F(42, C_SignInit) F(43, C_Sign)
#define NAME(place, name) name = place,
enum { FUNCTIONS(NAME) };

static function_list *real, ours;

/* 1 if there is a rule FUNCTION=FAULT and nothing lifts the rules; its number goes to *number, or 0. */
static int has(const char *function, const char *fault, ulong *number) {
  const char *lifted = getenv("FAULTY_LIFTED");
  if (lifted != NULL && access(lifted, F_OK) == 0) return 0;
  char wanted[80];
  size_t length = (size_t)snprintf(wanted, sizeof wanted, " %s=%s", function, fault);
  char rules[1024];
  snprintf(rules, sizeof rules, " %s ", getenv("FAULTS"));
  for (char *at = rules; (at = strstr(at, wanted)) != NULL; at += length) {
    if (at[length] != ' ' && at[length] != ':') continue;
    *number = at[length] == ':' ? strtoul(at + length + 1, NULL, 0) : 0;
    return 1;
  }
  return 0;
}

/* Says in a file which process stays here, and stays for as long as the file does, or for ever. */
static void hang(int for_ever) {
  const char *name = getenv("FAULTY_HUNG");
  int file = open(name, O_WRONLY | O_CREAT, 0600);
  dprintf(file, "%d\n", getpid());
  close(file);
  while (for_ever || access(name, F_OK) == 0) usleep(10000);
}

static void print(ulong bytes) {
  static const char line[] = "A vendor's module says on stdout and stderr what nobody has asked.\n";
  for (ulong printed = 0; printed < bytes; printed += sizeof line - 1) {
    if (write(1, line, sizeof line - 1) < 0 || write(2, line, sizeof line - 1) < 0) return;
  }
}

/* A process that lives on for a while and holds the descriptors open. */
static void leave(void) {
  if (fork() == 0) {
    sleep(20);
    _exit(0);
  }
}

/* Waits until no other process is in a call that is to be alone. Ends when the descriptor is closed. */
static int take_turn(void) {
  int file = open(getenv("FAULTY_MODULE"), O_RDONLY | O_CLOEXEC);
  flock(file, LOCK_EX);
  return file;
}

/* Makes a certificate that is not on the token, as ykcs11 has one beside each key. */
static void attest(ulong session, unsigned char id) {
  static const char label[] = "X.509 Certificate for PIV Attestation 9a";
  unsigned char value[4096], no = 0;
  ulong class = CKO_CERTIFICATE, object;
  int file = open(getenv("FAULTY_ATTESTATION"), O_RDONLY);
  ssize_t length = read(file, value, sizeof value);
  attribute parts[] = {{CKA_CLASS, (unsigned char *)&class, sizeof class}, {0x80, (unsigned char[8]){0}, 8},
    {CKA_TOKEN, &no, 1}, {2, &no, 1}, {CKA_LABEL, (unsigned char *)label, sizeof label - 1}, {CKA_ID, &id, 1},
    {CKA_SUBJECT, (unsigned char *)"0", 1}, {CKA_VALUE, value, (ulong)length}};
  close(file);
  if (length <= 0 || real->functions[C_CreateObject](session, (ulong)parts, sizeof parts / sizeof *parts, (ulong)&object, 0)) abort();
}

/* Reads one attribute and shows it as another module would. */
static ulong show(const char *name, ulong session, ulong object, attribute *wanted) {
  unsigned char value[4096], id;
  attribute whole = {wanted->type, value, sizeof value}, identifier = {CKA_ID, &id, 1};
  ulong number, result;
  if (has(name, "hide", &number) && number == wanted->type) return CKR_ATTRIBUTE_TYPE_INVALID;
  if (wanted->type == CKA_YUBICO_TOUCH_POLICY && has(name, "touch", &number)) {
    if (wanted->value != NULL) *(ulong *)wanted->value = number;
    wanted->length = sizeof number;
    return CKR_OK;
  }
  result = real->functions[C_GetAttributeValue](session, object, (ulong)&whole, 1, 0);
  if (result != CKR_OK) return result;
  if (whole.type == CKA_EC_POINT && has(name, "raw-point", &number)) {
    memmove(value, value + 2, whole.length -= 2); /* without the header of the OCTET STRING */
  }
  if (whole.type == CKA_EC_POINT && has(name, "bit-string-point", &number)) {
    memmove(value + 3, value + 2, whole.length - 2);
    value[0] = 3;
    value[1] += 1;
    value[2] = 0;
    whole.length += 1;
  }
  if (whole.type == CKA_VALUE && has(name, "corrupt", &number) &&
      real->functions[C_GetAttributeValue](session, object, (ulong)&identifier, 1, 0) == CKR_OK && id == number) {
    memset(value, 0xff, whole.length);
  }
  if (wanted->value != NULL) memcpy(wanted->value, value, whole.length);
  wanted->length = whole.length;
  return CKR_OK;
}

static ulong call(int place, const char *name, ulong a, ulong b, ulong c, ulong d, ulong e) {
  static int calls[68], nothing_to_find, logged_in;
  int first = calls[place]++ == 0;
  function original = real->functions[place];
  ulong number, result;
  if (has(name, "print", &number)) print(number);
  if (has(name, "garble", &number)) (void)!write(3, "this is no message\n", 19);
  if (has(name, "leave", &number)) leave();
  if (has(name, "hang", &number)) hang(1);
  if (has(name, "wait", &number)) hang(0);
  if (has(name, "crash", &number)) *(volatile int *)NULL = 0;
  /* Not exit(): what Node has for that to run may abort, since its other threads go on. */
  if (has(name, "exit", &number)) _exit((int)number);
  if (has(name, "return", &number) || (first && has(name, "once", &number))) return number;
  if (has(name, "read-only-returns", &number) && !(b & CKF_RW_SESSION)) return number;
  if (has(name, "context-returns", &number) && b == CKU_CONTEXT_SPECIFIC) return number;
  if (has(name, "lose-login", &number) || (first && has(name, "lose-login-once", &number))) {
    original(a, b, c, d, e); /* ends the operation */
    real->functions[C_Logout](a, 0, 0, 0, 0);
    return CKR_USER_NOT_LOGGED_IN;
  }
  if (place == C_GetAttributeValue && d == 1) return show(name, a, b, (attribute *)c);
  if (place == C_FindObjects && nothing_to_find) {
    *(ulong *)d = 0;
    return CKR_OK;
  }
  result = original(a, b, c, d, e);
  if (place == C_Login && result == CKR_OK) logged_in = 1;
  if (place == C_GetTokenInfo) {
    if (has(name, "set-flags", &number)) ((token_info *)b)->flags |= number;
    if (has(name, "clear-flags", &number)) ((token_info *)b)->flags &= ~number;
  }
  if (place == C_GetInfo && has(name, "yubico", &number)) memcpy((char *)a + 2, "Yubico (www.yubico.com)         ", 32);
  if (place == C_OpenSession && result == CKR_OK && has(name, "attest", &number)) attest(*(ulong *)e, (unsigned char)number);
  if (place == C_FindObjectsInit) {
    nothing_to_find = 0;
    for (attribute *part = (attribute *)b; part < (attribute *)b + c; part++) {
      if (part->type != CKA_CLASS) continue;
      if (has(name, "hide-class", &number) && *(ulong *)part->value == number) nothing_to_find = 1;
      if (has(name, "hide-until-login", &number) && *(ulong *)part->value == number) nothing_to_find = !logged_in;
    }
  }
  if (place == C_Sign && result == CKR_OK && d != 0) {
    if (has(name, "corrupt", &number)) ((unsigned char *)d)[5] ^= 1;
    if (has(name, "shorten", &number)) *(ulong *)e = number;
  }
  return result;
}

static ulong call_in_turn(int place, const char *name, ulong a, ulong b, ulong c, ulong d, ulong e) {
  ulong number, result;
  int turn = has(name, "alone", &number) ? take_turn() : -1;
  result = call(place, name, a, b, c, d, e);
  if (turn >= 0) close(turn);
  return result;
}

#define WRAP(place, name) \
  static ulong call_##name(ulong a, ulong b, ulong c, ulong d, ulong e) { \
    return call_in_turn(place, #name, a, b, c, d, e); \
  }
FUNCTIONS(WRAP)

ulong C_GetFunctionList(function_list **list) {
  void *module = dlopen(getenv("FAULTY_MODULE"), RTLD_NOW);
  ulong (*get_real)(function_list **) = module ? (ulong (*)(function_list **))dlsym(module, "C_GetFunctionList") : NULL;
  if (get_real == NULL || get_real(&real) != CKR_OK) return 5; /* CKR_GENERAL_ERROR */
  ours = *real;
#define REPLACE(place, name) ours.functions[place] = call_##name;
  FUNCTIONS(REPLACE)
  *list = &ours;
  return CKR_OK;
}
