/** Entry of the browser half: shows the view that the page was made for and passes messages both ways. */
import 'uplot/dist/uPlot.min.css';
import './main.css';
import type { DashboardMessage, HostToDashboard, HostToModelView, ModelViewMessage } from '../protocol.ts';
import { type Choice, Dashboard } from './dashboard.ts';
import { useTexts } from './l10n.ts';
import { type LayerChoice, ModelView } from './modelView.ts';
import { applyEvents, emptyRunView } from './state.ts';

interface SavedState extends Choice, LayerChoice { readonly runId?: string }
interface VsCodeApi { postMessage(message: DashboardMessage | ModelViewMessage): void; getState(): SavedState | undefined; setState(state: SavedState): void }
declare function acquireVsCodeApi(): VsCodeApi;

const host = acquireVsCodeApi();
const root = document.getElementById('app')!;
const language = document.documentElement.lang;

function startDashboard(): (message: HostToDashboard) => void {
  let view = emptyRunView;
  let runId: string | undefined;
  let dashboard: Dashboard | undefined;
  return (message) => {
    switch (message.type) {
      case 'snapshot': {
        useTexts(message.texts, language);
        ({ view, runId } = message);
        const id = message.runId, saved = host.getState(), choice: Choice = saved?.runId === id ? saved : {};
        const remember = (chosen: Choice) => host.setState({ ...chosen, runId: id });
        remember(choice);
        dashboard = new Dashboard(root, { send: (outgoing) => host.postMessage(outgoing), remember }, choice);
        dashboard.update(view, message.info);
        return;
      }
      case 'events':
        if (message.runId !== runId) return;
        view = applyEvents(view, message.events);
        dashboard?.update(view);
        return;
      case 'info': if (message.runId === runId) dashboard?.update(view, message.info); return;
      case 'gone':
        useTexts(message.texts, language);
        Dashboard.showGone(root);
        return;
      default: unknown(message);
    }
  };
}

function startModelView(): (message: HostToModelView) => void {
  return (message) => {
    useTexts(message.texts, language);
    switch (message.type) {
      case 'inspection': new ModelView(root, message.inspection, { send: (outgoing) => host.postMessage(outgoing), remember: (choice) => host.setState(choice) }, host.getState() ?? {}); return;
      case 'failed': ModelView.showFailure(root, message.message); return;
      default: unknown(message);
    }
  };
}

function unknown(message: never): void { throw new Error(`Unknown message ${JSON.stringify(message)}`); }

/** The page only ever gets the messages of its own view: the host half of each view sends one type. */
function listen<Message>(receive: (message: Message) => void): void {
  window.addEventListener('message', ({ data }: MessageEvent<Message>) => receive(data));
}
if (document.body.dataset['view'] === 'model') listen(startModelView()); else listen(startDashboard());
host.postMessage({ type: 'ready' });
