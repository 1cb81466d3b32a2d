//! A user's verdict, from the sentence to the file of sentences where the function failed.

use serde_json::json;

use crate::house::House;

/// What would run, on a page or in a spreadsheet, if it were not text.
const SENTENCE: &str = "=Esto no me gusta <img src=x onerror=\"document.body.dataset.owned=1\">";

#[tokio::test]
async fn a_verdict_is_found_exported_and_deleted() {
    let Some(house) = House::start(&["sentiment"]).await else { return };
    let tab = house.open("/sentiment").await;
    tab.fill("textarea[name=text]", SENTENCE).await;
    tab.click("button.go").await;
    let verdict = tab.text(".verdict strong").await;
    let other = if verdict == "Positivo" { "Negativo" } else { "Positivo" };
    tab.click(".thumb.down").await;
    tab.until("document.querySelector('.thumbs').innerText.includes('Thank you')").await;
    tab.eval(&format!(
        "(() => {{ const it = document.querySelector('.thumbs select'); it.value = '{other}';
           it.dispatchEvent(new Event('change', {{ bubbles: true }})); }})()"
    ))
    .await;
    tab.fill(".thumbs input[name=comment]", "<b>irony</b>").await;
    tab.click(".thumbs form button").await;
    tab.until("!document.querySelector('.thumbs form')").await;
    assert_eq!(tab.eval("document.querySelectorAll('.notice.bad').length").await, 0);

    tab.go(&format!("{}/#/feedback/sentiment", house.url)).await;
    let row = "document.querySelector('.entries tbody tr')";
    tab.until(row).await;
    let shown = tab.text(".entries tbody tr").await;
    for words in ["sentiment", "down", &verdict, other, SENTENCE, "<b>irony</b>"] {
        assert!(shown.contains(words), "{words} is not in {shown}");
    }
    tab.until("document.querySelector('.confusion')").await;
    assert!(tab.text(".bars .figure").await.starts_with("0 % (0/1)"), "{}", tab.text(".bars .figure").await);
    assert_eq!(tab.text(".confusion .mistaken.level4").await, "1");
    // Filters leave out what does not fit.
    tab.fill("input[name=text]", "nothing of the kind").await;
    tab.until("!document.querySelector('.entries')").await;
    tab.fill("input[name=text]", "gusta").await;
    tab.until(row).await;

    tab.eval("URL.createObjectURL = (blob) => { globalThis.saved = blob; return 'data:,'; }").await;
    tab.click(".title .links button").await;
    tab.until("globalThis.saved").await;
    let csv = tab.eval("saved.text()").await;
    assert!(csv.as_str().unwrap().contains("'=Esto no me gusta <img"), "{csv}");
    assert_eq!(tab.eval("document.body.dataset.owned ?? null").await, json!(null));
    assert_eq!(tab.eval("document.querySelectorAll('main img, .entries b').length").await, 0);

    tab.eval("globalThis.confirm = () => true").await;
    tab.click(".entries button").await;
    tab.until(&format!("!{row}")).await;
    assert_eq!(tab.eval("fetch('/api/feedback').then((answer) => answer.json())").await["feedback"], json!([]));
    assert!(tab.complaints().await.is_empty(), "{:?}", tab.complaints().await);
}
