//! Functions tried by hand, by a file, and as code.

use std::process::Command;

use serde_json::json;

use crate::house::House;

/// What would run if it were not text.
const MARKUP: &str = "<img src=x onerror=\"document.body.dataset.owned=1\"><b>Me encanta</b>";

#[tokio::test]
async fn a_sentence_is_judged_and_its_markup_stays_text() {
    let Some(house) = House::start(&["sentiment"]).await else { return };
    let tab = house.open("/sentiment").await;
    tab.fill("textarea[name=text]", MARKUP).await;
    tab.click("button.go").await;
    let verdict = tab.text(".verdict strong").await;
    assert!(["Positivo", "Negativo"].contains(&verdict.as_str()), "{verdict}");
    assert!(tab.text(".bars").await.contains("Negativo"));
    assert!(tab.text(".answer .meta").await.starts_with("Score 0."));
    // As code, where what was typed is shown again.
    tab.go(&format!("{}/#/functions/sentiment", house.url)).await;
    tab.fill("textarea[name=text]", MARKUP).await;
    tab.click("button.go").await;
    tab.until("document.querySelector('.verdict')").await;
    tab.click(".tabs a[href$='/code']").await;
    assert!(tab.text("pre[data-language=curl]").await.contains("<img src=x onerror="));
    assert_eq!(tab.eval("document.querySelectorAll('main img, main pre b').length").await, 0);
    assert_eq!(tab.eval("document.body.dataset.owned ?? null").await, json!(null));
    assert!(tab.complaints().await.is_empty(), "{:?}", tab.complaints().await);
}

#[tokio::test]
async fn each_field_shows_what_is_wrong_with_it() {
    let Some(house) = House::start(&["penguins"]).await else { return };
    let tab = house.open("/#/functions/penguins").await;
    tab.click("form .actions button:last-child").await;
    tab.fill("#field-bill_length_mm", MARKUP).await;
    tab.fill("#field-bill_depth_mm", "1").await;
    tab.fill("#field-flipper_length_mm", "181").await;
    tab.click("form button.go").await;
    assert_eq!(tab.text(".answer .notice.bad").await, "3 values are not valid: see the form.");
    for (field, words) in [
        ("bill_length_mm", "must be a number, is \"<img src=x"),
        ("bill_depth_mm", "must be from 5.0 to 50.0 mm, is 1"),
        ("body_mass_g", "is missing"),
        ("flipper_length_mm", ""),
    ] {
        let shown = tab.text(&format!("#field-{field}-error")).await;
        assert!(shown.starts_with(words) && shown.is_empty() == words.is_empty(), "{field}: {shown}");
    }
    // The first wrong one is where to type.
    tab.until("document.activeElement.id === 'field-bill_length_mm'").await;
    assert_eq!(tab.eval("document.querySelectorAll('main img').length").await, 0);

    tab.fill("#field-bill_length_mm", "39.1").await;
    tab.fill("#field-bill_depth_mm", "18.7").await;
    tab.fill("#field-body_mass_g", "3750").await;
    tab.click("form button.go").await;
    assert_eq!(tab.text(".verdict strong").await, "MALE");
    assert_eq!(tab.eval("document.querySelectorAll('.wrong, .notice.bad').length").await, 0);
    let timing = tab.text(".timing").await;
    assert!(timing.contains("inference") && timing.contains("gateway’s queue"), "{timing}");
    let facts = tab.text(".answer .meta").await;
    assert!(facts.contains("model 1.0.0") && facts.contains("Request 01"), "{facts}");
    // The one field whose browser complains is the 422 itself, which every console logs.
    let others: Vec<_> = tab.complaints().await.into_iter().filter(|text| !text.contains("status of 422")).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test]
async fn snippets_work_when_pasted() {
    let Some(house) = House::start(&["sentiment"]).await else { return };
    let tab = house.open("/#/functions/sentiment").await;
    // What shells, Python and Rust would each take for the end of a text.
    tab.fill("textarea[name=text]", "It's \"malo\" \\ 'peor' # ¡ñ!\n$HOME `x` %s \"# fin").await;
    tab.click(".tabs a[href$='/code']").await;
    let curl = tab.text("pre[data-language=curl]").await;
    let said = Command::new("sh").args(["-c", &curl]).output().unwrap();
    let answer: serde_json::Value =
        serde_json::from_slice(&said.stdout).unwrap_or_else(|e| panic!("{e}: {said:?}\n{curl}"));
    assert!(answer["confidence"].is_number(), "{answer}");
    let python = tab.text("pre[data-language=Python]").await;
    let said = Command::new("python3").args(["-c", &python]).env_remove("http_proxy").output().unwrap();
    let words = String::from_utf8(said.stdout).unwrap();
    let first = answer["prediction"].as_str().unwrap();
    assert!(words.starts_with(first), "{words}{}\n{python}", String::from_utf8_lossy(&said.stderr));
    let rust = tab.text("pre[data-language=Rust]").await;
    assert!(rust.contains("let row = r##\"{\n") && rust.contains("ureq::post("), "{rust}");
}

/// Rows of penguins, of which every thousandth has a wrong value, beside a column that the function does not know.
fn rows(n: usize) -> String {
    let row = |i: usize| {
        let length = if i % 1000 == 999 { "=1+1".into() } else { format!("{}.5", 30 + i % 20) };
        format!("{i},{length},18.7,181,3750\n")
    };
    let head = "id,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g\n".to_owned();
    (0..n).fold(head, |all, i| all + &row(i))
}

#[tokio::test]
async fn ten_thousand_rows_of_a_file_get_as_many_answers() {
    let Some(house) = House::start(&["penguins"]).await else { return };
    let tab = house.open("/#/functions/penguins/batch").await;
    tab.until("document.querySelector('.drop')").await;
    let file = json!(rows(10_000));
    tab.eval(&format!(
        "(() => {{ const data = new DataTransfer(); data.items.add(new File([{file}], 'birds.csv', {{ type: 'text/csv' }}));
           document.querySelector('.drop').dispatchEvent(new DragEvent('drop', {{ dataTransfer: data, bubbles: true, cancelable: true }})); }})()"
    ))
    .await;
    assert!(tab.text(".batch header").await.contains("10,000 rows"));
    // What the browser would save.
    tab.eval("URL.createObjectURL = (blob) => { globalThis.saved = blob; return 'data:,'; }").await;
    tab.click(".batch .actions button.go").await;
    tab.until("document.querySelector('.batch .actions button.go')?.innerText.startsWith('Download')").await;
    let said = tab.text(".batch .meta").await;
    assert!(
        said.contains("10,000 of 10,000 rows") && said.contains("9,990 predicted") && said.contains("10 with errors"),
        "{said}"
    );
    println!("10,000 rows: {}", said.replace('\n', " · "));
    assert!(tab.text(".errors li").await.starts_with("Row 1001 bill_length_mm must be a number"));
    tab.click(".batch .actions button.go").await;
    tab.until("globalThis.saved").await;
    let saved = tab.eval("saved.text()").await;
    let lines: Vec<_> = saved.as_str().unwrap().lines().collect();
    assert_eq!(lines.len(), 10_001);
    assert_eq!(lines[0], "id,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,prediction,confidence,error");
    assert!(lines[1].starts_with("0,30.5,18.7,181,3750,FEMALE,0."), "{}", lines[1]);
    let wrong = lines[1_000];
    assert!(wrong.starts_with("999,'=1+1,18.7,181,3750,,,\"bill_length_mm must be a number"), "{wrong}");
    assert_eq!(lines.iter().filter(|line| line.contains("MALE,0.") && line.ends_with(',')).count(), 9_990);
}
