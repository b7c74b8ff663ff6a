// A subject over a background, harmonized, in Rust: see composite.c. `rustc composite.rs -L PREFIX/lib`.
use std::ffi::{c_char, c_void, CStr, CString};
use std::{env, fs, process, ptr};

const EH_OK: i32 = 0;
const EH_BGR: i32 = 1;
const EH_GREY: i32 = 7;
const EH_NO_TIME: f64 = -1.0;

#[repr(C)]
struct Image {
    format: i32,
    width: i32,
    height: i32,
    colour: i32,
    plane: [*mut c_void; 3],
    stride: [i64; 3],
}

#[repr(C)]
struct Options {
    size: usize,
    model_path: *const c_char,
    model_bytes: *const c_void,
    model_size: usize,
    matte_path: *const c_char,
    matte_bytes: *const c_void,
    matte_size: usize,
    onnxruntime_api_base: *const c_void,
    onnxruntime_path: *const c_char,
    threads: i32,
}

#[link(name = "edgeharmony")]
extern "C" {
    fn eh_options_init(options: *mut Options, size: usize);
    fn eh_open(options: *const Options, stream: *mut *mut c_void, message: *mut c_char, size: usize) -> i32;
    fn eh_process(
        stream: *mut c_void,
        frame: *const Image,
        alpha: *const Image,
        background: *const Image,
        out: *const Image,
        seconds: f64,
    ) -> i32;
    fn eh_error(stream: *const c_void) -> *const c_char;
    fn eh_close(stream: *mut c_void);
}

/// Owns a stream. It may be sent to another thread, but is for one at a time.
struct Harmonizer(*mut c_void);

unsafe impl Send for Harmonizer {}

impl Drop for Harmonizer {
    fn drop(&mut self) {
        unsafe { eh_close(self.0) }
    }
}

impl Harmonizer {
    fn open(model: &str) -> Result<Self, String> {
        let path = CString::new(model).map_err(|error| error.to_string())?;
        let mut stream = ptr::null_mut();
        let mut message = [0 as c_char; 512];
        unsafe {
            let mut options: Options = std::mem::zeroed();
            eh_options_init(&mut options, std::mem::size_of::<Options>());
            options.model_path = path.as_ptr();
            if eh_open(&options, &mut stream, message.as_mut_ptr(), message.len()) != EH_OK {
                return Err(CStr::from_ptr(message.as_ptr()).to_string_lossy().into_owned());
            }
        }
        Ok(Self(stream))
    }

    /// All of one size: BGR but for the alpha.
    fn process(&mut self, size: (i32, i32), frame: &[u8], alpha: &[u8], background: &[u8]) -> Result<Vec<u8>, String> {
        let mut out = vec![0; frame.len()];
        let image = |format, data: *const u8| Image {
            format,
            width: size.0,
            height: size.1,
            colour: 0,
            plane: [data as *mut c_void, ptr::null_mut(), ptr::null_mut()],
            stride: [size.0 as i64 * if format == EH_GREY { 1 } else { 3 }, 0, 0],
        };
        let status = unsafe {
            eh_process(
                self.0,
                &image(EH_BGR, frame.as_ptr()),
                &image(EH_GREY, alpha.as_ptr()),
                &image(EH_BGR, background.as_ptr()),
                &image(EH_BGR, out.as_mut_ptr()),
                EH_NO_TIME,
            )
        };
        if status == EH_OK {
            return Ok(out);
        }
        Err(unsafe { CStr::from_ptr(eh_error(self.0)) }.to_string_lossy().into_owned())
    }
}

fn read(path: &str, size: usize) -> Result<Vec<u8>, String> {
    let bytes = fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    if bytes.len() == size { Ok(bytes) } else { Err(format!("{path}: {size} bytes are needed")) }
}

fn run(words: &[String]) -> Result<(), String> {
    let number = |text: &str| text.parse::<i32>().map_err(|error| format!("{text}: {error}"));
    let size = (number(&words[2])?, number(&words[3])?);
    let pixels = size.0 as usize * size.1 as usize;
    let (frame, alpha, background) =
        (read(&words[4], 3 * pixels)?, read(&words[5], pixels)?, read(&words[6], 3 * pixels)?);
    let out = Harmonizer::open(&words[1])?.process(size, &frame, &alpha, &background)?;
    fs::write(&words[7], out).map_err(|error| format!("{}: {error}", words[7]))
}

fn main() {
    let words: Vec<String> = env::args().collect();
    if words.len() != 8 {
        eprintln!("usage: composite MODEL.onnx WIDTH HEIGHT FRAME ALPHA BACKGROUND OUT");
        process::exit(2);
    }
    if let Err(message) = run(&words) {
        eprintln!("error: {message}");
        process::exit(1);
    }
}
