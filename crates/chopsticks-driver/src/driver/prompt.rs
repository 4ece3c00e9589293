//! The prompts of ssh, and what they ask for.

use crate::secret::SecretKind;

/// What a prompt asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Question {
    /// Something that is refused without ending ssh: whether a host key is right, or whether a key may
    /// be used.
    Confirmation,
    /// A secret.
    Secret(SecretKind),
    /// Anything else, such as a one-time code, the PIN of a token, or a new password.
    Other,
}

/// Reads a prompt of ssh. `hint` is the variable by which ssh says what kind of answer it expects.
/// `is_target` says that it is the ssh that logs in to the host, and not one that leads to it.
///
/// Since version 8.5 a text that the server sends has `(USER@HOST) ` in front, so that it cannot be
/// mistaken for a question of ssh itself.
pub(super) fn question(prompt: &str, hint: &str, is_target: bool) -> Question {
    let password = if is_target { SecretKind::Password } else { SecretKind::JumpPassword };
    let is_confirmation = hint == "confirm" || prompt.contains("(yes/no");
    if let Some(text) = prompt.strip_prefix('(').and_then(|rest| Some(rest.split_once(") ")?.1)) {
        return if asks_for_password(text) { Question::Secret(password) } else { Question::Other };
    }
    if is_confirmation {
        return Question::Confirmation;
    }
    if prompt.starts_with("Enter passphrase for ") {
        return Question::Secret(SecretKind::Passphrase);
    }
    let is_password = prompt.trim_end().ends_with("'s password:") && !prompt.starts_with("Enter ");
    // Before version 8.5 the text of the server alone.
    if is_password || asks_for_password(prompt) { Question::Secret(password) } else { Question::Other }
}

/// Returns whether a text of a server asks for a password, and not for a new one or for a code.
fn asks_for_password(text: &str) -> bool {
    let text = text.trim().to_lowercase();
    let text = text.trim_end_matches([':', '：', '?', ' ']);
    let is_short = text.chars().count() <= MAX_PROMPT;
    is_short
        && PASSWORD.iter().any(|word| text.contains(word))
        && !OTHER.iter().any(|word| text.contains(word))
}

/// A question for a password names the user and the host at most.
const MAX_PROMPT: usize = 120;

/// The word in the languages that Linux-PAM and shadow are translated to.
const PASSWORD: &[&str] = &[
    "password",
    "passwort",
    "kennwort",
    "mot de passe",
    "contraseña",
    "contrasenya",
    "contrasinal",
    "senha",
    "palavra-passe",
    "wachtwoord",
    "lösenord",
    "adgangskode",
    "kodeord",
    "passord",
    "salasana",
    "lykilorð",
    "hasło",
    "heslo",
    "geslo",
    "lozinka",
    "zaporka",
    "jelszó",
    "parola",
    "parolă",
    "şifre",
    "parool",
    "parole",
    "slaptažod",
    "пароль",
    "парола",
    "лозинка",
    "κωδικός",
    "συνθηματικό",
    "סיסמה",
    "كلمة",
    "رمز عبور",
    "गोपनशब्द",
    "पासवर्ड",
    "পাসওয়ার্ড",
    "密码",
    "口令",
    "密碼",
    "パスワード",
    "암호",
    "비밀번호",
    "รหัสผ่าน",
    "mật khẩu",
    "kata sandi",
    "pasahitza",
];

/// Words of questions for something else.
const OTHER: &[&str] = &[
    "new ", "retype", "again", "confirm", "change", "old ", "one-time", "one time", "onetime", "otp",
    "token", "code", "passcode", "current", "actuel", "aktuell", "jetzig", "yes/no", "neues", "nouveau",
    "nueva",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_passphrases_are_recognised() {
        let password = Question::Secret(SecretKind::Password);
        for prompt in [
            "me@10.0.0.1's password: ",
            "(me@web1) Password: ",
            "(me@web1) Password for me@web1:",
            "(me@web1) Passwort: ",
            "(me@web1) Mot de passe : ",
            "(me@web1) パスワード: ",
            "(me@web1) Пароль: ",
            "Password: ",
        ] {
            assert_eq!(question(prompt, "", true), password, "{prompt}");
            let jump = Question::Secret(SecretKind::JumpPassword);
            assert_eq!(question(prompt, "", false), jump, "{prompt}");
        }
        let passphrase = Question::Secret(SecretKind::Passphrase);
        for is_target in [true, false] {
            let prompt = "Enter passphrase for key '/home/me/.ssh/id_ed25519': ";
            assert_eq!(question(prompt, "", is_target), passphrase);
        }
    }

    #[test]
    fn other_questions_get_no_secret() {
        for prompt in [
            "(me@web1) Verification code: ",
            "(me@web1) One-time password (OATH) for `me': ",
            "(me@web1) New password: ",
            "(me@web1) Retype new password: ",
            "(me@web1) Enter passphrase for key '/home/me/.ssh/id_ed25519': ",
            "(me@web1) Are you sure that this is your password (yes/no)? ",
            "Enter me@web1's old password: ",
            "Enter me@web1's new password: ",
            "Enter PIN for ED25519-SK key /home/me/.ssh/id_sk: ",
            "",
        ] {
            assert_eq!(question(prompt, "", true), Question::Other, "{prompt}");
        }
        let unknown = "The authenticity of host 'web1 (10.0.0.1)' can't be established.\nED25519 key fingerprint is \
                       SHA256:password.\nAre you sure you want to continue connecting (yes/no/[fingerprint])? ";
        assert_eq!(question(unknown, "", true), Question::Confirmation);
        assert_eq!(question("Allow use of key /home/me/password?", "confirm", true), Question::Confirmation);
    }
}
