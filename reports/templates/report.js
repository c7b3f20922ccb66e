'use strict';
// The filters of the report: the same queries as on the command line, kept in the address behind #q=.
(() => {
  const $ = (id) => document.getElementById(id);
  const verdicts = ['pass', 'skip', 'known', 'fail', 'surprise', 'fault', 'hang', 'crash'];
  let rows;

  // What a query can ask about, read off the page the first time that one is asked.
  const facts = () => rows ??= [...document.querySelectorAll('.area tbody tr')].map((tr) => {
    const name = tr.querySelector('code').textContent;
    const article = $(name);
    const texts = (selector) => [...article.querySelectorAll(selector)].map((e) => e.textContent.toLowerCase());
    return {
      tr, name: name.toLowerCase(), sentence: tr.querySelector('a').textContent.toLowerCase(),
      verdicts: new Set([...tr.querySelectorAll('td')].map((td) => td.className)),
      different: tr.classList.contains('d'), observed: article.hasAttribute('data-observed'),
      needs: texts('.why'), source: texts('.source li'),
    };
  });

  // One term of a query as a test of a row; throws a sentence where it is none.
  const term = (text) => {
    const bare = text.replace(/^(not:|-)/, '');
    const negated = bare !== text;
    if (!bare) throw `something must follow ${text}`;
    const test = positive(bare.toLowerCase());
    return (row) => test(row) !== negated;
  };
  const positive = (text) => {
    const keyed = /^([^:]*):(?!:)(.*)$/.exec(text);
    if (!keyed) {
      const path = text.replaceAll('/', '::');
      if (path.endsWith('::')) return (row) => row.name.startsWith(path);
      return (row) => row.name.includes(path) || row.sentence.includes(text);
    }
    const [, key, value] = keyed;
    if (!value) throw `something must follow ${text}`;
    switch (key) {
      case 'status': {
        const wanted = value.split(',');
        const unknown = wanted.find((verdict) => !verdicts.includes(verdict));
        if (unknown !== undefined) throw `there is no verdict ${unknown}: the verdicts are ${verdicts.join(', ')}`;
        return (row) => wanted.some((verdict) => row.verdicts.has(verdict));
      }
      case 'is':
        if (value === 'different') return (row) => row.different;
        if (value === 'observed') return (row) => row.observed;
        throw 'write is:different or is:observed';
      case 'needs': return (row) => row.needs.some((need) => need.includes(value));
      case 'source': return (row) => row.source.some((source) => source.includes(value));
      default: throw `the terms are status:, is:, needs:, source:, and plain text; a path is written a::b`;
    }
  };

  const ask = (text) => {
    const told = $('told');
    let tests;
    try {
      tests = text.split(/\s+/).filter(Boolean).map(term);
      told.classList.remove('wrong');
      $('q').removeAttribute('aria-invalid');
    } catch (sentence) {
      told.textContent = sentence;
      told.classList.add('wrong');
      $('q').setAttribute('aria-invalid', 'true');
      return;
    }
    let shown = 0;
    for (const row of facts()) {
      const matches = tests.every((test) => test(row));
      row.tr.hidden = !matches;
      shown += matches;
    }
    for (const area of document.querySelectorAll('.area')) {
      const some = area.querySelector('tbody tr:not([hidden])');
      area.hidden = !some;
      if (tests.length) area.open = Boolean(some);
    }
    told.textContent = tests.length ? `${shown} of ${rows.length} claims` : '';
  };

  const decoded = (text) => {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  };
  const query = () => location.hash.startsWith('#q=') ? decoded(location.hash.slice(3)) : null;
  const fromAddress = () => {
    const asked = query();
    if (asked !== null) {
      $('q').value = asked;
      ask(asked);
      $('matrix').scrollIntoView();
    }
  };

  $('ask').hidden = false;
  $('ask').addEventListener('submit', (event) => event.preventDefault());
  $('q').addEventListener('input', () => {
    ask($('q').value);
    history.replaceState(null, '', `#q=${encodeURIComponent($('q').value)}`);
  });
  const open = (state) => () => document.querySelectorAll('.area').forEach((area) => { area.open = state; });
  $('unfold').addEventListener('click', open(true));
  $('fold').addEventListener('click', open(false));
  addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && event.target.matches('input')) {
      $('q').value = '';
      $('q').dispatchEvent(new Event('input'));
    }
  });
  addEventListener('hashchange', fromAddress);
  for (const button of document.querySelectorAll('.copy')) {
    button.hidden = false;
    button.addEventListener('click', async () => {
      const code = button.previousElementSibling;
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = 'Copied';
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = 'Selected';
      }
    });
  }
  fromAddress();
})();
